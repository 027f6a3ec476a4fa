"""What stays as it was: errors, retries, types, the library itself when guardai is gone or only watches."""

import pickle

import openai
import pytest

import guardai
from guardai.testing.model_server import Reply, drop, error, malformed, text

EMAIL = "alice@example.com"


def said(content):
    return [{"role": "user", "content": content}]


CASES = {
    "429": lambda: [error(429, "slow down", {"x-a": "b"})],
    "401": lambda: [error(401, "who are you")],
    "404": lambda: [error(404)],
    "500": lambda: [error(500, {"error": {"message": "broken", "type": "server_error", "param": None, "code": "x"}})],
    "no json": lambda: [Reply(status=502, body="<html>bad gateway</html>")],
    "dropped": lambda: [drop(after_chunks=1)],
    "malformed": lambda: [malformed(after_chunks=1)],
}


def told(exc):
    response = getattr(exc, "response", None)
    return (
        type(exc),
        str(exc),
        getattr(exc, "body", None),
        getattr(exc, "code", None),
        getattr(exc, "status_code", None),
        response is not None and response.headers.get("x-a"),
        type(exc.__cause__),
    )


@pytest.mark.parametrize("case", CASES)
def test_errors_come_through_as_they_are(home, model, client, outcomes, case):
    def attempt():
        with pytest.raises(Exception) as caught:
            client(model(CASES[case]())).chat.completions.create(model="gpt-4o", messages=said("x"))
        return told(caught.value)

    bare = attempt()
    guardai.init(home=home, integrations=["openai"])
    assert attempt() == bare
    assert [o["status"] for o in outcomes()] == ["error"]


@pytest.mark.parametrize("case", CASES)
async def test_errors_of_the_async_client_come_through_as_they_are(home, model, client, outcomes, case):
    async def attempt():
        async with client(model(CASES[case]()), openai.AsyncOpenAI) as made:
            with pytest.raises(Exception) as caught:
                await made.chat.completions.create(model="gpt-4o", messages=said("x"))
        return told(caught.value)

    bare = await attempt()
    guardai.init(home=home, integrations=["openai"])
    assert await attempt() == bare
    assert [o["status"] for o in outcomes()] == ["error"]


def test_retries_are_the_clients_business_and_one_call(guard, model, client, outcomes):
    server = model(
        [error(429, headers={"retry-after-ms": "1"}), error(500, headers={"retry-after-ms": "1"}), text("ok")]
    )
    answer = client(server, max_retries=2).chat.completions.create(model="gpt-4o", messages=said("x"))
    assert answer.choices[0].message.content == "ok"
    assert len(server.requests) == 3
    assert [o["status"] for o in outcomes()] == ["ok"]


def test_a_timeout_comes_through(guard, model, client, outcomes):
    def never(request):
        import time

        time.sleep(1)
        return text("late")

    with pytest.raises(openai.APITimeoutError):
        client(model(never), timeout=0.05).chat.completions.create(model="gpt-4o", messages=said("x"))
    assert len(outcomes()) == 1


def test_observe_mode_changes_nothing_and_records_what_it_would_have_done(home, model, client, events):
    guardai.init(home=home, mode="observe", integrations=["openai"])
    server = model(lambda r: text(r.user))
    made = client(server)
    with guardai.session(audience="person"):
        answer = made.chat.completions.create(model="gpt-4o", messages=said(f"to {EMAIL}"))
        raw = made.chat.completions.with_raw_response.create(model="gpt-4o", messages=said(f"to {EMAIL}"))
        stream = made.chat.completions.create(model="gpt-4o", messages=said(f"to {EMAIL}"), stream=True)
        streamed = "".join(c.choices[0].delta.content or "" for c in stream)
        completed = list(made.responses.create(model="gpt-4o", input=f"to {EMAIL}", stream=True))[-1]
    assert server.requests[0].user == f"to {EMAIL}"
    assert answer.choices[0].message.content == streamed == completed.response.output_text == f"to {EMAIL}"
    assert EMAIL in raw.text
    intents = events(kind="call.intent", action="llm.generate")
    assert [e["decision"]["masks"] for e in intents] == [{"pii.email": "token"}] * 4
    assert {e["status"] for e in events(kind="call.outcome", action="llm.generate")} == {"ok"}


def test_observe_mode_lets_a_denied_call_pass(home, policy, model, client, events):
    guardai.init(
        home=home, mode="observe", policy=policy("forbid (principal, action, resource);"), integrations=["openai"]
    )
    server = model([text("ok")])
    assert client(server).chat.completions.create(model="gpt-4o", messages=said("x")).choices
    assert events(kind="call.intent")[0]["decision"]["effect"] == "deny"


def test_clients_built_before_init_and_their_cached_resources_are_governed(home, model, client):
    server = model([text("ok"), text("ok"), text("ok")])
    made = client(server)
    create = made.chat.completions.create
    raw = made.chat.completions.with_raw_response
    create(model="gpt-4o", messages=said("before"))
    guardai.init(home=home, integrations=["openai"])
    create(model="gpt-4o", messages=said(f"to {EMAIL}"))
    raw.create(model="gpt-4o", messages=said(f"to {EMAIL}"))
    assert EMAIL not in server.requests[1].text + server.requests[2].text


def test_the_module_level_client_is_governed(guard, model, monkeypatch):
    server = model([text("ok")])
    monkeypatch.setattr(openai, "api_key", "anything")
    monkeypatch.setattr(openai, "base_url", server.base_url + "/")
    try:
        openai.chat.completions.create(model="gpt-4o", messages=said(f"to {EMAIL}"))
    finally:
        openai._reset_client()
    assert EMAIL not in server.requests[0].text


def test_copies_and_subclasses_are_governed(guard, model, client):
    server = model([text("ok"), text("ok")])
    made = client(server)
    made.with_options(timeout=10).copy().chat.completions.create(model="gpt-4o", messages=said(f"to {EMAIL}"))

    class Mine(openai.OpenAI):
        pass

    client(server, Mine).chat.completions.create(model="gpt-4o", messages=said(f"to {EMAIL}"))
    assert EMAIL not in server.requests[0].text + server.requests[1].text


def test_azure_clients_are_governed(guard, http, events):
    seen = []

    def handle(request):
        seen.append(request)
        message = {"role": "assistant", "content": "ok"}
        return http.Response(
            200, json={"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        )

    made = openai.AzureOpenAI(
        azure_endpoint="https://mine.openai.azure.com",
        api_key="k",
        api_version="2025-01-01",
        http_client=http.Client(transport=http.MockTransport(handle)),
    )
    made.chat.completions.create(model="deployed", messages=said(f"to {EMAIL}"))
    assert EMAIL not in seen[0].content.decode()
    assert "/deployments/deployed/chat/completions" in str(seen[0].url)
    intent = events(kind="call.intent")[0]
    assert intent["model"]["host"] == "mine.openai.azure.com"
    assert intent["model"]["requested"] == "deployed"
    assert intent["action"] == "llm.generate"


def test_pages_are_governed_one_by_one(guard, mocked, http, outcomes):
    pages = [
        {"object": "list", "data": [{"id": "a", "object": "file", "filename": EMAIL}], "has_more": True},
        {"object": "list", "data": [{"id": "b", "object": "file"}], "has_more": False},
    ]
    made = mocked(lambda r: http.Response(200, json=pages[1 if "after" in str(r.url) else 0]))
    assert [f.id for f in made.files.list()] == ["a", "b"]
    assert len(outcomes("http.request")) == 2


def test_after_shutdown_the_library_is_as_it_was(home):
    base = openai._base_client
    names = [
        (base.SyncAPIClient, "request"),
        (base.AsyncAPIClient, "request"),
        (base.BaseClient, "_process_response_data"),
    ]
    before = [vars(cls)[name] for cls, name in names]
    guardai.init(home=home, integrations=["openai"])
    assert all(vars(cls)[name] is not was for (cls, name), was in zip(names, before))
    guardai.shutdown()
    assert all(vars(cls)[name] is was for (cls, name), was in zip(names, before))


def test_what_was_cached_before_shutdown_passes_through_after_it(guard, model, client):
    server = model([text("ok")])
    create = client(server).chat.completions.create
    guardai.shutdown()
    create(model="gpt-4o", messages=said(f"to {EMAIL}"))
    assert EMAIL in server.requests[0].text


def test_a_denial_survives_a_worker_pool(home, policy, model, client):
    guardai.init(home=home, policy=policy("forbid (principal, action, resource);"), integrations=["openai"])
    with pytest.raises(guardai.PolicyDenied) as caught:
        client(model()).models.list()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.reason, again.event) == (caught.value.reason, caught.value.event)


def test_nothing_of_the_library_is_imported_by_us():
    import subprocess
    import sys

    code = "import sys, guardai_openai; print([m for m in sys.modules if m.split('.')[0] in ('openai', 'httpx', 'httpx2')])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_the_clients_lazy_imports_stay_lazy():
    import subprocess
    import sys

    code = (
        "import sys, tempfile, guardai; guardai.init(home=tempfile.mkdtemp(), integrations=['openai']); import openai; "
        "print([m for m in sys.modules if m.startswith('openai.resources.')]); guardai.shutdown()"
    )
    bare = "import sys, openai; print([m for m in sys.modules if m.startswith('openai.resources.')])"
    run = lambda c: subprocess.run([sys.executable, "-c", c], capture_output=True, text=True, check=True).stdout  # noqa: E731
    assert run(code) == run(bare)


def test_every_patch_is_in_place(guard):
    from guardai.hooks import report

    entry = next(e for e in report() if e.get("name") == "openai")
    assert {t["target"].partition(":")[2]: t["status"] for t in entry["targets"] if ":" in t["target"]}
    assert {t["status"] for t in entry["targets"]} == {"patched"}
