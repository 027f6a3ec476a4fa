"""Many at once: threads, tasks, sessions, cancellations; and one client governed by itself."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

import guardai
from guardai.testing.model_server import text, tool_call


def said(content):
    return [{"role": "user", "content": content}]


def echo(request):
    return text(request.user)


def test_threads_do_not_see_one_anothers_values(guard, model, client):
    server = model(echo)
    made = client(server)

    def work(n):
        with guardai.session(user=f"u{n}"):
            mine = f"user{n}@example.com"
            answer = made.chat.completions.create(model="gpt-4o", messages=said(f"to {mine}"))
            stream = made.chat.completions.create(model="gpt-4o", messages=said(f"to {mine}"), stream=True)
            streamed = "".join(c.choices[0].delta.content or "" for c in stream)
            return answer.choices[0].message.content == streamed == f"to {mine}"

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(work, range(64)))
    assert all("@" not in r.user for r in server.requests)


async def test_tasks_do_not_see_one_anothers_values(guard, model, client, events):
    server = model(echo)
    async with client(server, openai.AsyncOpenAI) as made:

        async def work(n):
            async with guardai.session(user=f"u{n}"):
                mine = f"user{n}@example.com"
                answer = await made.chat.completions.create(model="gpt-4o", messages=said(f"to {mine}"))
                stream = await made.responses.create(model="gpt-4o", input=f"to {mine}", stream=True)
                last = [e async for e in stream][-1]
                return answer.choices[0].message.content == last.response.output_text == f"to {mine}"

        assert all(await asyncio.gather(*(work(n) for n in range(24))))
    assert all("@" not in r.user for r in server.requests)
    users = {}
    for event in events(action="llm.generate"):
        users.setdefault(event["session"], set()).add(event["principal"]["user"])
    assert len(users) == 24
    assert all(len(found) == 1 for found in users.values())


def test_a_session_keeps_its_tokens_from_request_to_request(guard, model, client):
    server = model(echo)
    made = client(server)
    with guardai.session():
        for _ in range(2):
            made.chat.completions.create(model="gpt-4o", messages=said("to alice@example.com"))
    assert server.requests[0].user == server.requests[1].user


def test_calls_of_a_session_are_recorded_under_it(guard, model, client, events):
    server = model(echo)
    with guardai.session(user="u-1", agent="bot", purpose="test") as session:
        client(server).chat.completions.create(model="gpt-4o", messages=said("x"))
    for event in events(action="llm.generate"):
        assert event["session"] == session.id
        assert (event["principal"]["user"], event["principal"]["agent"]) == ("u-1", "bot")


async def test_a_cancelled_request_is_unknown(guard, model, client, outcomes):
    held = threading.Event()

    def wait(request):
        held.wait(10)
        return text("late")

    server = model(wait)
    async with client(server, openai.AsyncOpenAI) as made:
        task = asyncio.create_task(made.chat.completions.create(model="gpt-4o", messages=said("x")))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        held.set()
    assert [o["status"] for o in outcomes()] == ["unknown"]


def test_an_interrupt_goes_through_and_is_unknown(guard, mocked, outcomes):
    def interrupted(request):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mocked(interrupted).chat.completions.create(model="m", messages=said("x"))
    assert [o["status"] for o in outcomes()] == ["unknown"]


async def test_a_coroutine_that_is_never_awaited_opens_nothing(guard, model, client, events):
    server = model(echo)
    async with client(server, openai.AsyncOpenAI) as made:
        made.chat.completions.create(model="gpt-4o", messages=said("x")).close()
    assert events(kind="call.intent") == []
    assert server.requests == []


async def test_a_tool_call_turns_this_task_and_no_other(guard, model, client):
    from guardai.gate import HERE

    server = model(lambda r: tool_call("run", {}) if "tool" in r.user else text("no"))
    async with client(server, openai.AsyncOpenAI) as made:

        async def work(what):
            await made.chat.completions.create(model="gpt-4o", messages=said(what))
            return HERE.get().turn

        assert await asyncio.gather(work("tool"), work("none")) == [True, False]


# ---------------------------------------------------------------- one client


@pytest.fixture
def alone(home):
    guardai.init(home=home, integrations=[])


def test_a_wrapped_client_is_governed_and_another_is_not(alone, model, client):
    server = model(echo)
    made, other = client(server), client(server)
    assert guardai.wrap(made) is made
    assert isinstance(made, openai.OpenAI)
    assert (
        made.chat.completions.create(model="gpt-4o", messages=said("to a@example.com")).choices[0].message.content
        == "to a@example.com"
    )
    other.chat.completions.create(model="gpt-4o", messages=said("to a@example.com"))
    assert "@" not in server.requests[0].user
    assert "@" in server.requests[1].user


def test_copies_streams_and_raw_responses_of_a_wrapped_client_are_governed(alone, model, client):
    server = model(echo)
    made = guardai.wrap(client(server))
    raw = made.chat.completions.with_raw_response.create(model="gpt-4o", messages=said("to a@example.com"))
    assert raw.parse().choices[0].message.content == "to a@example.com"
    copy = made.with_options(timeout=9)
    stream = copy.chat.completions.create(model="gpt-4o", messages=said("to a@example.com"), stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream) == "to a@example.com"
    assert all("@" not in r.user for r in server.requests)


def test_resources_that_a_client_had_before_it_was_wrapped_are_governed(alone, model, client):
    server = model(echo)
    made = client(server)
    create = made.chat.completions.create
    guardai.wrap(made)
    create(model="gpt-4o", messages=said("to a@example.com"))
    assert "@" not in server.requests[0].user


async def test_a_wrapped_async_client_is_governed(alone, model, client):
    server = model(echo)
    async with guardai.wrap(client(server, openai.AsyncOpenAI)) as made:
        answer = await made.responses.create(model="gpt-4o", input="to a@example.com")
    assert answer.output_text == "to a@example.com"
    assert "@" not in server.requests[0].user


def test_a_client_that_is_wrapped_twice_or_patched_too_is_governed_once(home, model, client, events):
    server = model(echo)
    guardai.init(home=home, integrations=[])
    made = guardai.wrap(guardai.wrap(client(server)))
    guardai.init(home=home, integrations=["openai"])
    made.chat.completions.create(model="gpt-4o", messages=said("to a@example.com"))
    assert len(events(kind="call.intent")) == 1


def test_wrapping_a_client_of_a_patched_library_changes_nothing(guard, model, client):
    made = client(model())
    cls = type(made)
    assert guardai.wrap(made) is made
    assert type(made) is cls
