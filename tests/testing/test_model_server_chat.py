"""The stand-in speaks chat completions to the real openai client."""

import json
import threading

import openai
import pytest
from pydantic import BaseModel

from guardai.testing.model_server import (
    ModelServer,
    choices,
    drop,
    error,
    malformed,
    refusal,
    stream_error,
    text,
    tool_call,
)

ASK = [{"role": "user", "content": "How many?"}]
TOOLS = [{"type": "function", "function": {"name": "count", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture
def ask():
    """Runs one request against a script: `ask(script, **arguments)`."""
    servers = []

    def run(script, *, retries=0, messages=ASK, **arguments):
        server = ModelServer(script).__enter__()
        client = openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=retries)
        servers.append((server, client))
        run.server = server
        return client.chat.completions.create(model="gpt-4o", messages=messages, **arguments)

    yield run
    for server, client in servers:
        client.close()
        server.__exit__(None, None, None)


def test_a_text_is_answered_as_one_choice(ask):
    answer = ask([text("Two thousand.")])
    assert isinstance(answer, openai.types.chat.ChatCompletion)
    assert answer.choices[0].message.content == "Two thousand."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "gpt-4o"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_what_arrived_is_kept_with_path_headers_and_bytes(ask):
    ask([text("ok")], extra_headers={"X-Trace": "t1"})
    (request,) = ask.server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["x-trace"] == "t1"
    assert request.user == "How many?"
    assert json.loads(request.raw) == request.body
    assert "How many?" in request.text


def test_a_stream_arrives_in_the_scripted_pieces(ask):
    stream = ask([text("write to a@b.example", chunks=["write to a@", "b.exa", "mple"])], stream=True)
    pieces = [chunk.choices[0].delta.content for chunk in stream]
    assert pieces == ["", "write to a@", "b.exa", "mple", None]


def test_a_stream_reports_usage_in_a_last_chunk_only_if_asked(ask):
    with_usage = list(ask([text("a b")], stream=True, stream_options={"include_usage": True}))
    assert with_usage[-1].choices == []
    assert with_usage[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in with_usage[:-1])
    assert all(chunk.choices for chunk in ask([text("a b")], stream=True))


def test_tool_calls_arrive_whole(ask):
    answer = ask([text("Let me see.") + tool_call("count", {"of": "customers"}) + tool_call("count", "{broken")])
    message = answer.choices[0].message
    assert message.content == "Let me see."
    assert [call.function.arguments for call in message.tool_calls] == ['{"of": "customers"}', "{broken"]
    assert len({call.id for call in message.tool_calls}) == 2
    assert answer.choices[0].finish_reason == "tool_calls"


def test_tool_call_arguments_are_streamed_in_pieces(ask):
    both = tool_call("count", '{"of": 1}', chunks=['{"o', 'f": ', "1}"]) + tool_call("other", "{}")
    arguments = {0: [], 1: []}
    names = {}
    for chunk in ask([both], stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            arguments[call.index].append(call.function.arguments)
            names.setdefault(call.index, call.function.name)
    assert arguments == {0: ["", '{"o', 'f": ', "1}"], 1: ["", "{}"]}
    assert names == {0: "count", 1: "other"}


def test_several_choices_are_several_choices(ask):
    answer = ask([choices(text("one"), text("two"))], n=2)
    assert [choice.message.content for choice in answer.choices] == ["one", "two"]
    assert [choice.index for choice in answer.choices] == [0, 1]


def test_one_text_is_repeated_for_n(ask):
    assert [choice.message.content for choice in ask([text("same")], n=3).choices] == ["same"] * 3


def test_a_refusal_has_its_own_field(ask):
    message = ask([refusal("I will not.")]).choices[0].message
    assert (message.refusal, message.content) == ("I will not.", None)


def test_a_function_script_sees_the_request_and_may_answer_lazily(ask):
    gate = threading.Event()

    def script(request):
        yield "you said: "
        assert gate.wait(10)
        yield request.user

    stream = ask(script, stream=True)
    seen = []
    for chunk in stream:
        seen.append(chunk.choices[0].delta.content)
        if seen[-1] == "you said: ":
            gate.set()  # the second piece is not even made before the first was read
    assert seen == ["", "you said: ", "How many?", None]


def test_parse_gets_its_model():
    class Count(BaseModel):
        count: int

    with ModelServer([text('{"count": 3}')]) as server, openai.OpenAI(base_url=server.base_url, api_key="x") as client:
        answer = client.chat.completions.parse(model="gpt-4o", messages=ASK, response_format=Count)
        assert answer.choices[0].message.parsed == Count(count=3)
        assert server.requests[0].body["response_format"]["json_schema"]["strict"] is True


def test_the_stream_helper_accumulates():
    with ModelServer([text("a b c")]) as server, openai.OpenAI(base_url=server.base_url, api_key="x") as client:
        with client.chat.completions.stream(model="gpt-4o", messages=ASK) as stream:
            assert stream.get_final_completion().choices[0].message.content == "a b c"


async def test_the_async_client_is_served_the_same():
    script = [tool_call("count", "{}"), text("a b")]
    with ModelServer(script) as server:
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="x") as client:
            first = await client.chat.completions.create(model="gpt-4o", messages=ASK, tools=TOOLS)
            call = first.choices[0].message.tool_calls[0]
            messages = [*ASK, first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "7"}]
            stream = await client.chat.completions.create(model="gpt-4o", messages=messages, stream=True)
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "a b"
        assert server.requests[1].tool_results == ["7"]


def test_one_connection_serves_many_requests():
    with ModelServer(lambda request: text(request.user)) as server:
        with openai.OpenAI(base_url=server.base_url, api_key="x") as client:
            for n in range(20):
                asked = [{"role": "user", "content": f"n{n}"}]
                assert client.chat.completions.create(model="m", messages=asked).choices[0].message.content == f"n{n}"
            assert len(server._http._open) == 1


def test_many_clients_are_served_at_once():
    meeting = threading.Barrier(8)

    def script(request):
        yield "at "
        meeting.wait(10)  # nobody's answer ends before all eight are being answered
        yield request.user

    answers = []
    with ModelServer(lambda request: script(request)) as server:
        with openai.OpenAI(base_url=server.base_url, api_key="x", max_retries=0) as client:

            def one(n):
                asked = [{"role": "user", "content": str(n)}]
                answers.append(client.chat.completions.create(model="m", messages=asked).choices[0].message.content)

            threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert sorted(answers) == [f"at {n}" for n in range(8)]


# Faults


def test_a_rate_limit_is_retried_by_the_client_and_then_answered(ask):
    answer = ask([error(429, headers={"retry-after-ms": "1"}), text("ok")], retries=1)
    assert answer.choices[0].message.content == "ok"
    assert len(ask.server.requests) == 2
    assert ask.server.requests[1].headers["x-stainless-retry-count"] == "1"


def test_a_rate_limit_reaches_the_caller_with_its_headers(ask):
    with pytest.raises(openai.RateLimitError) as caught:
        ask([error(429, headers={"retry-after": "7"})])
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.code == "rate_limit_exceeded"


def test_a_server_error_is_an_internal_server_error(ask):
    with pytest.raises(openai.InternalServerError):
        ask([error(500)])


def test_an_error_body_arrives_as_it_was_scripted(ask):
    body = {"error": {"message": "too long", "type": "invalid_request_error", "param": "messages", "code": "too_long"}}
    with pytest.raises(openai.BadRequestError) as caught:
        ask([error(400, body)])
    assert (caught.value.code, caught.value.param) == ("too_long", "messages")


@pytest.mark.parametrize("sent", [0, 2])
def test_a_dropped_stream_ends_in_an_error_after_the_pieces_that_were_sent(ask, sent):
    stream = ask([drop(after_chunks=sent, reply=text("a b c d"))], stream=True)
    seen = []
    with pytest.raises(Exception, match=r"(?i)incomplete|connection"):
        for chunk in stream:
            seen.append(chunk.choices[0].delta.content)
    assert seen == ["", "a", " b"][: sent + 1]


def test_a_dropped_body_is_a_connection_error(ask):
    with pytest.raises((openai.APIConnectionError, openai.APIError)):
        ask([drop(after_chunks=0)])


def test_noise_in_a_stream_is_a_json_error(ask):
    stream = ask([malformed(after_chunks=1, reply=text("a b"))], stream=True)
    with pytest.raises(ValueError, match="(?i)expect|unterminated"):
        list(stream)


def test_an_error_inside_a_stream_is_raised_from_the_stream(ask):
    seen = []
    with pytest.raises(openai.APIError, match="overloaded"):
        for chunk in ask([stream_error(after_chunks=1, message="overloaded", reply=text("a b"))], stream=True):
            seen.append(chunk.choices[0].delta.content)
    assert seen == ["", "a"]


def test_a_client_that_leaves_early_does_not_disturb_the_server():
    with ModelServer(lambda request: text("a b c d")) as server:
        with openai.OpenAI(base_url=server.base_url, api_key="x") as client:
            for _ in range(5):
                with client.chat.completions.create(model="m", messages=ASK, stream=True) as stream:
                    next(iter(stream))
            assert client.chat.completions.create(model="m", messages=ASK).choices[0].message.content == "a b c d"


def test_a_script_at_its_end_says_so(ask):
    with pytest.raises(openai.BadRequestError, match="at its end after 0 replies"):
        ask([])


def test_a_script_that_raises_says_what(ask):
    def script(request):
        raise LookupError("no such scene")

    with pytest.raises(openai.BadRequestError, match="no such scene"):
        ask(script)


def test_a_stop_leaves_no_thread_and_no_socket_behind():
    before = set(threading.enumerate())
    with ModelServer([text("ok")]) as server:
        client = openai.OpenAI(base_url=server.base_url, api_key="x", max_retries=0)
        client.chat.completions.create(model="m", messages=ASK)
    assert set(threading.enumerate()) == before
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="m", messages=ASK)
    client.close()


# What the real API refuses


def refused(ask, match, **arguments):
    with pytest.raises(openai.BadRequestError, match=match):
        ask([text("never")], **arguments)


CALL = {"id": "call_a", "type": "function", "function": {"name": "count", "arguments": "{}"}}
CALLED = [*ASK, {"role": "assistant", "content": None, "tool_calls": [CALL]}]


@pytest.mark.parametrize(
    ("messages", "match"),
    [
        ([], "empty array"),
        ("hello", "array of objects"),
        ([{"role": "robot", "content": "x"}], "Supported values"),
        ([{"content": "x"}], "messages\\[0\\].role"),
        ([{"role": "user", "content": None}], "got null"),
        ([{"role": "user", "content": 7}], "string or array"),
        ([{"role": "user", "content": [{"type": "smell"}]}], "Supported values"),
        ([*ASK, {"role": "assistant"}], "got null"),
        ([*ASK, {"role": "tool", "tool_call_id": "call_z", "content": "7"}], "must be a response to a preceeding"),
        ([*CALLED, {"role": "tool", "tool_call_id": "call_z", "content": "7"}], "must be a response to a preceeding"),
        ([*CALLED, {"role": "tool", "content": "7"}], "tool_call_id"),
        (CALLED, "did not have response messages: call_a"),
        ([*CALLED, *ASK], "did not have response messages: call_a"),
        ([{"role": "user", "content": "x", "tool_calls": [CALL]}], "Unknown parameter"),
    ],
)
def test_a_conversation_that_the_api_refuses_is_refused(ask, messages, match):
    refused(ask, match, messages=messages)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"n": 0}, "'n'"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "does not match pattern"),
        ({"tools": [{"type": "function"}]}, "tools\\[0\\].function"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "poem"}}, "Supported values"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {}}}},
            "additionalProperties",
        ),
        ({"extra_body": {"model": ""}}, "model"),
    ],
)
def test_arguments_that_the_api_refuses_are_refused(ask, arguments, match):
    refused(ask, match, **arguments)


def test_an_answered_tool_call_is_accepted(ask):
    answered = [*CALLED, {"role": "tool", "tool_call_id": "call_a", "content": "7"}]
    assert ask([text("Seven.")], messages=answered).choices[0].message.content == "Seven."


def test_refused_requests_do_not_use_up_the_script():
    with ModelServer([text("ok")]) as server:
        with openai.OpenAI(base_url=server.base_url, api_key="x") as client:
            with pytest.raises(openai.BadRequestError):
                client.chat.completions.create(model="m", messages=[])
            assert client.chat.completions.create(model="m", messages=ASK).choices[0].message.content == "ok"
            assert len(server.requests) == 2
