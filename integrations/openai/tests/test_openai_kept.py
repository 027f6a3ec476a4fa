"""What the client sends and gets is kept for replay where policy asks for it: whole answers, streams, tool calls."""

import pytest

import guardai
from guardai.gate.reports.session import replayed
from guardai.testing.model_server import text, tool_call

EMAIL = "alice@example.com"
POLICY = (
    '@id("kept") @capture("content") permit (principal, action, resource);'
    '@id("token") @mask("token") forbid (principal, action == Action::"reveal", resource in Label::"pii") '
    'when { ["model", "vault"].contains(context.to.kind) };'
)


@pytest.fixture
def kept(home, policy, model, client):
    """Has the client do something in a session, and gives what was kept of it."""

    def of(script, ask):
        guardai.init(home=home, policy=policy(POLICY), integrations=["openai"])
        made = client(model(script))
        with guardai.session(user="ann", id="s"):
            ask(made)
        guardai.shutdown()
        found = replayed(home, "s")
        assert (found.faults, found.report.verdict) == ([], 0)
        for path in (path for path in home.rglob("*") if path.is_file()):
            assert b"alice" not in path.read_bytes(), path
        return {one.side: one.value for step in found.steps for one in step.contents}

    return of


def said(content):
    return [{"role": "user", "content": content}]


def test_whole_answer_with_its_request(kept):
    def ask(made):
        answer = made.chat.completions.create(model="gpt-4o", messages=said(f"write to {EMAIL}"))
        assert answer.choices[0].message.content == f"dear {EMAIL}"

    found = kept([text("dear <EMAIL_1>")], ask)
    assert found["in"]["messages"] == said("write to <EMAIL_1>")
    assert found["out"]["choices"][0]["message"]["content"] == "dear <EMAIL_1>"


def test_stream_with_the_tool_that_it_asks_for(kept):
    def ask(made):
        for _ in made.chat.completions.create(model="gpt-4o", messages=said(f"mail {EMAIL}"), stream=True):
            pass

    found = kept([tool_call("send_mail", '{"to": "<EMAIL_1>"}')], ask)
    assert found["out"] == {
        "0/tool_calls/0/function/arguments": '{"to": "<EMAIL_1>"}',
        "0/tool_calls/0/function/name": "send_mail",
        "0/tool_calls/0/id": found["out"]["0/tool_calls/0/id"],
    }


def test_stream_of_the_responses_protocol_with_the_tool_that_it_asks_for(kept):
    def ask(made):
        for _ in made.responses.create(model="gpt-4o", input=f"mail {EMAIL}", stream=True):
            pass

    found = kept([tool_call("send_mail", '{"to": "<EMAIL_1>"}')], ask)
    assert '"name":"send_mail"' in found["out"]["output/0"]
    assert found["out"]["id"].startswith("resp_")
    assert '{"to": "<EMAIL_1>"}' in found["out"].values()


def test_stream_that_is_closed_early_is_kept_as_far_as_it_left(kept):
    def ask(made):
        stream = made.chat.completions.create(model="gpt-4o", messages=said("hi"), stream=True)
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        stream.close()

    found = kept([text("one two three four", chunks=["one two three ", "four"])], ask)
    assert list(found["out"]) == ["0/content"]
    assert found["out"]["0/content"] in "one two three four"
