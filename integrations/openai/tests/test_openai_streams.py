"""Streams: masked as they pass, complete, lazy, in the client's own types, and always brought to an end."""

import gc
import json
import threading

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import guardai
from guardai.testing.model_server import choices, drop, error, malformed, reasoning, stream_error, text, tool_call

EMAIL = "alice@example.com"
KEY = "sk-" + "proj-" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z" * 3


def said(content):
    return [{"role": "user", "content": content}]


def pieces(value, size=3):
    return [value[i : i + size] for i in range(0, len(value), size)]


def content_of(chunks, index=0):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.index == index)


def arguments_of(chunks):
    whole = {}
    for chunk in chunks:
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                whole[call.index] = whole.get(call.index, "") + ((call.function and call.function.arguments) or "")
    return whole


def test_an_address_split_over_chunks_is_masked_for_a_person(guard, model, client):
    whole = f"Write to {EMAIL} or wait."
    server = model([text(whole, chunks=pieces(whole)), text(whole)])
    made = client(server)
    with guardai.session(audience="person"):
        streamed = content_of(made.chat.completions.create(model="gpt-4o", messages=said("who?"), stream=True))
        at_once = made.chat.completions.create(model="gpt-4o", messages=said("who?")).choices[0].message.content
    assert EMAIL not in streamed
    assert streamed == at_once
    assert streamed.endswith(" or wait.")


def test_a_key_split_over_chunks_is_redacted_for_the_process(guard, model, client):
    whole = f"use {KEY} now"
    server = model([text(whole, chunks=pieces(whole, 7))])
    streamed = content_of(client(server).chat.completions.create(model="gpt-4o", messages=said("key?"), stream=True))
    assert "Ab3dEf6h" not in streamed
    assert streamed.startswith("use ")
    assert streamed.endswith(" now")


def test_a_token_split_over_chunks_is_re_identified_for_the_process(guard, model, client):
    def echo(request):
        whole = f"Write to {request.user.split()[-1]} today"
        return text(whole, chunks=pieces(whole, 2))

    server = model(echo)
    made = client(server)
    chat = content_of(made.chat.completions.create(model="gpt-4o", messages=said(f"to {EMAIL}"), stream=True))
    assert chat == f"Write to {EMAIL} today"
    events = list(made.responses.create(model="gpt-4o", input=f"to {EMAIL}", stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == chat
    assert events[-1].response.output_text == chat


@pytest.mark.parametrize("protocol", ["chat", "responses"])
def test_streamed_tool_call_arguments_are_re_identified(guard, model, client, protocol):
    def call_back(request):
        whole = json.dumps({"to": request.user.split()[-1], "n": 1})
        return tool_call("send", whole, chunks=pieces(whole, 3))

    server = model(call_back)
    made = client(server)
    if protocol == "chat":
        chunks = list(made.chat.completions.create(model="gpt-4o", messages=said(f"to {EMAIL}"), stream=True))
        assert json.loads(arguments_of(chunks)[0]) == {"to": EMAIL, "n": 1}
        names = [
            c.function.name for k in chunks for ch in k.choices for c in ch.delta.tool_calls or [] if c.function.name
        ]
        assert names == ["send"]
        assert chunks[-1].choices[0].finish_reason == "tool_calls"
    else:
        events = list(made.responses.create(model="gpt-4o", input=f"to {EMAIL}", stream=True))
        joined = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
        done = next(e for e in events if e.type == "response.function_call_arguments.done")
        assert json.loads(joined) == {"to": EMAIL, "n": 1}
        assert done.arguments == joined == events[-1].response.output[0].arguments


def test_several_tool_calls_and_choices_do_not_run_into_one_another(guard, model, client):
    first, second = json.dumps({"to": "a@example.com"}), json.dumps({"to": "b@example.com"})
    one = (
        text("Look: c@example.com")
        + tool_call("send", first, chunks=pieces(first))
        + tool_call("send", second, chunks=pieces(second))
    )
    server = model([choices(one, text("Or d@example.com"))])
    with guardai.session(audience="person"):
        chunks = list(client(server).chat.completions.create(model="gpt-4o", messages=said("x"), n=2, stream=True))
    everything = content_of(chunks) + content_of(chunks, 1) + "".join(arguments_of(chunks).values())
    for name in "abcd":
        assert f"{name}@example.com" not in everything
    for arguments in arguments_of(chunks).values():
        assert set(json.loads(arguments)) == {"to"}


def test_what_was_held_back_comes_before_the_finish_reason(guard, model, client):
    whole = f"Write to {EMAIL}"
    server = model([text(whole, chunks=pieces(whole))])
    chunks = list(client(server).chat.completions.create(model="gpt-4o", messages=said("x"), stream=True))
    ends = [n for n, chunk in enumerate(chunks) if chunk.choices and chunk.choices[0].finish_reason]
    assert ends == [len(chunks) - 1]
    assert content_of(chunks[: ends[0] + 1]) == whole
    assert len({chunk.id for chunk in chunks}) == 1


def test_repeated_texts_are_exactly_the_pieces_joined(guard, model, client):
    whole = f"Write to {EMAIL} and b@example.org"
    server = model([reasoning(f"hm, {EMAIL}") + text(whole, chunks=pieces(whole, 4))])
    with guardai.session(audience="person"):
        events = list(client(server).responses.create(model="gpt-4o", input="x", stream=True))
    joined = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    thought = "".join(e.delta for e in events if e.type == "response.reasoning_summary_text.delta")
    by_type = {e.type: e for e in events}
    assert EMAIL not in json.dumps([e.to_dict() for e in events], default=str)
    assert by_type["response.output_text.done"].text == joined
    assert by_type["response.reasoning_summary_text.done"].text == thought
    assert by_type["response.content_part.done"].part.text == joined
    assert by_type["response.completed"].response.output_text == joined
    numbers = [e.sequence_number for e in events]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("protocol", ["chat", "responses"])
def test_the_stream_helpers_work(guard, model, client, protocol):
    whole = f"Write to {EMAIL}"
    server = model([text(whole, chunks=pieces(whole))])
    made = client(server)
    if protocol == "chat":
        with made.chat.completions.stream(model="gpt-4o", messages=said("x")) as stream:
            done = [e.content for e in stream if e.type == "content.done"]
            assert done == [whole]
            assert stream.get_final_completion().choices[0].message.content == whole
    else:
        with made.responses.stream(model="gpt-4o", input="x") as stream:
            assert stream.get_final_response().output_text == whole


def test_the_chat_helper_sees_complete_arguments_when_the_next_tool_call_begins(guard, model, client):
    first, second = json.dumps({"to": EMAIL}), json.dumps({"to": EMAIL, "n": 2})
    server = model([text("I will.") + tool_call("send", first, chunks=pieces(first)) + tool_call("send", second)])
    tools = [{"type": "function", "function": {"name": "send", "strict": True, "parameters": {}}}]
    with client(server).chat.completions.stream(model="gpt-4o", messages=said("x"), tools=tools) as stream:
        events = list(stream)
    done = [e.parsed_arguments for e in events if e.type == "tool_calls.function.arguments.done"]
    assert done == [json.loads(first), json.loads(second)]
    assert [e.content for e in events if e.type == "content.done"] == ["I will."]


async def test_the_async_client_streams_the_same(guard, model, client):
    whole = f"Write to {EMAIL} today"
    server = model([text(whole, chunks=pieces(whole))] * 3)
    async with client(server, openai.AsyncOpenAI) as made:
        with guardai.session(audience="person"):
            stream = await made.chat.completions.create(model="gpt-4o", messages=said("x"), stream=True)
            assert isinstance(stream, openai.AsyncStream)
            chunks = [chunk async for chunk in stream]
            assert EMAIL not in content_of(chunks)
            assert content_of(chunks).endswith(" today")
            async with made.responses.stream(model="gpt-4o", input="x") as events:
                final = await events.get_final_response()
            assert final.output_text == content_of(chunks)
            async with made.chat.completions.stream(model="gpt-4o", messages=said("x")) as events:
                assert (await events.get_final_completion()).choices[0].message.content == content_of(chunks)


def test_the_stream_is_a_stream(guard, model, client):
    server = model([text("a b c")])
    stream = client(server).chat.completions.create(model="gpt-4o", messages=said("x"), stream=True)
    assert isinstance(stream, openai.Stream)
    assert type(stream).__name__ == "Stream"
    with stream as same:
        assert same is stream
        assert next(stream).choices
        assert stream.response.status_code == 200


def test_a_stream_is_as_lazy_as_it_was(guard, model, client):
    told, read = [], threading.Event()

    def slowly(request):
        for n in range(20):
            if n == 10:  # whoever wants all of it before showing any waits for this in vain
                read.wait(30)
            told.append(n)
            yield f"word{n} " * 200

    server = model(slowly)
    stream = client(server).chat.completions.create(model="gpt-4o", messages=said("x"), stream=True)
    next(stream)
    next(stream)
    assert len(told) <= 10
    read.set()
    stream.close()


def test_usage_and_the_answering_model_are_recorded(guard, model, client, outcomes):
    server = model([text("a b c"), text("a b c")])
    made = client(server)
    list(
        made.chat.completions.create(
            model="gpt-4o", messages=said("x"), stream=True, stream_options={"include_usage": True}
        )
    )
    list(made.responses.create(model="gpt-4o", input="x", stream=True))
    for outcome in outcomes("llm.generate"):
        assert outcome["status"] == "ok"
        assert outcome["model"]["responded"] == "gpt-4o"
        assert outcome["usage"]["total_tokens"] > 0


def test_a_stream_that_is_left_at_its_finish_reason_was_complete(guard, model, client, outcomes):
    server = model([text("a b c")])
    with client(server).chat.completions.create(
        model="gpt-4o", messages=said("x"), stream=True, stream_options={"include_usage": True}
    ) as stream:
        for chunk in stream:
            if chunk.choices[0].finish_reason:
                break
    assert outcomes()[0]["status"] == "ok"


LONG = " ".join(f"word{n}" for n in range(50))


@pytest.mark.parametrize("leave", ["close", "with", "break", "never", "helper"])
def test_a_stream_that_nobody_reads_to_its_end_is_abandoned(guard, model, client, outcomes, leave):
    server = model([text(LONG)])
    made = client(server)
    if leave == "helper":
        with made.chat.completions.stream(model="gpt-4o", messages=said("x")) as events:
            next(iter(events))
        del events
    else:
        stream = made.chat.completions.create(model="gpt-4o", messages=said("x"), stream=True)
        if leave == "close":
            next(stream)
            stream.close()
        elif leave == "with":
            with stream:
                next(stream)
        elif leave == "break":
            for _ in stream:
                break
        if leave in ("close", "with"):
            assert outcomes()[0]["status"] == "abandoned"
        del stream
        gc.collect()
    assert [o["status"] for o in outcomes()] == ["abandoned"]


@pytest.mark.parametrize("leave", ["close", "break", "never", "helper"])
async def test_an_async_stream_that_nobody_reads_to_its_end_is_abandoned(guard, model, client, outcomes, leave):
    import asyncio

    server = model([text(LONG)])
    async with client(server, openai.AsyncOpenAI) as made:
        if leave == "helper":
            async with made.chat.completions.stream(model="gpt-4o", messages=said("x")) as events:
                async for _ in events:
                    break
            assert outcomes()[0]["status"] == "abandoned"
            del events
        else:
            stream = await made.chat.completions.create(model="gpt-4o", messages=said("x"), stream=True)
            if leave == "close":
                await stream.__anext__()
                await stream.close()
            elif leave == "break":
                async for _ in stream:
                    break
                await stream.close()
            else:
                await stream.response.aclose()
            del stream
        gc.collect()
        await asyncio.sleep(0)
    assert [o["status"] for o in outcomes()] == ["abandoned"]


def test_a_session_that_ends_ends_its_streams(guard, model, client, outcomes):
    server = model([text(LONG)])
    with guardai.session():
        stream = client(server).chat.completions.create(model="gpt-4o", messages=said("x"), stream=True)
        next(stream)
    assert [o["status"] for o in outcomes("llm.generate")] == ["abandoned"]
    stream.close()


async def test_a_cancelled_stream_is_unknown(guard, model, client, outcomes):
    import asyncio

    server = model([text(LONG, pause=5)])
    async with client(server, openai.AsyncOpenAI) as made:
        stream = await made.chat.completions.create(model="gpt-4o", messages=said("x"), stream=True)

        async def read():
            async for _ in stream:
                pass

        task = asyncio.create_task(read())
        while not server.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [o["status"] for o in outcomes()] == ["unknown"]


FAULTS = {"drop": drop, "malformed": malformed, "error": stream_error}


@pytest.mark.parametrize("protocol", ["chat", "responses"])
@pytest.mark.parametrize("kind", FAULTS)
def test_a_stream_that_breaks_breaks_as_it_would_without_us(home, model, client, outcomes, kind, protocol):
    def attempt():
        server = model([FAULTS[kind](after_chunks=2, reply=text(LONG))])
        made = client(server)
        seen = []
        with pytest.raises(Exception) as caught:
            if protocol == "chat":
                for chunk in made.chat.completions.create(model="gpt-4o", messages=said("x"), stream=True):
                    seen.append(chunk)
            else:
                for event in made.responses.create(model="gpt-4o", input="x", stream=True):
                    seen.append(event)
        assert seen
        return type(caught.value), str(caught.value), getattr(caught.value, "body", None)

    bare = attempt()
    guardai.init(home=home, integrations=["openai"])
    assert attempt() == bare
    assert [o["status"] for o in outcomes()] == ["error"]


def test_what_was_held_back_does_not_leave_when_the_stream_breaks(guard, model, client):
    server = model([drop(after_chunks=3, reply=text(f"x {EMAIL}", chunks=["x ", "alice@exam", "ple.c", "om"]))])
    seen = []
    with guardai.session(audience="person"), pytest.raises(Exception):
        for chunk in client(server).chat.completions.create(model="gpt-4o", messages=said("x"), stream=True):
            seen.append(chunk)
    assert "alice" not in content_of(seen)


def test_an_error_instead_of_a_stream_comes_through(guard, model, client, outcomes):
    server = model([error(429, "slow down")])
    with pytest.raises(openai.RateLimitError, match="slow down"):
        client(server).chat.completions.create(model="gpt-4o", messages=said("x"), stream=True)
    assert outcomes()[0]["status"] == "error"


def test_a_model_s_streamed_sql_is_known_before_its_last_chunk(guard, model, client):
    from guardai.hooks import acting

    sql = "SELECT name, email FROM customers WHERE region = 'north' LIMIT 3"
    server = model([tool_call("run_sql", {"query": sql})])
    for chunk in client(server).chat.completions.create(model="gpt-4o", messages=said("sql?"), stream=True):
        if chunk.choices[0].finish_reason:
            assert acting(sql, "sqlite") is not None
            break


VALUES = st.sampled_from(
    [EMAIL, KEY, "+49 170 1234567", "4111 1111 1111 1111", "words", "and", "<EMAIL_1>", "é", "\n", "a@", '"']
)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    words=st.lists(VALUES, min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    data=st.data(),
)
def test_wherever_a_stream_is_cut_it_says_what_the_whole_would(guard, model, client, words, cuts, data):
    whole = " ".join(words)
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(whole[at : at + cut])
        at += cut
    chunks = [c for c in [*chunks, whole[at:]] if c]
    server = model([text(whole, chunks=chunks), text(whole), text(whole, chunks=chunks)])
    audience = data.draw(st.sampled_from(["person", "process"]))
    with client(server) as made, guardai.session(audience=audience):
        streamed = content_of(made.chat.completions.create(model="gpt-4o", messages=said("x"), stream=True))
        at_once = made.chat.completions.create(model="gpt-4o", messages=said("x")).choices[0].message.content
        events = list(made.responses.create(model="gpt-4o", input="x", stream=True))
    assert streamed == at_once
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == streamed
    assert events[-1].response.output_text == streamed
    server.__exit__(None, None, None)
