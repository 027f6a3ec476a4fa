"""WebSockets go round `request`: policy is asked before one is opened."""

import openai
import pytest

import guardai

CLOSED = """
permit (principal, action, resource);
@id("no-raw") @reason("what cannot be read does not pass")
forbid (principal, action == Action::"reveal", resource == Label::"opaque.raw");
"""


def sockets(made):
    """Every `connect` that this major has."""
    found = {}
    for path in (
        "realtime", "realtime.translations", "responses", "beta.realtime", "beta.responses", "live", "live.sideband", "live.forks",
    ):  # fmt: skip
        at = made
        for name in path.split("."):
            at = getattr(at, name, None)
        if at is not None and hasattr(at, "connect"):
            found[path] = at.connect
    return found


@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI])
def test_no_socket_is_opened_where_policy_does_not_reveal_what_cannot_be_read(home, policy, client, kind):
    guardai.init(home=home, policy=policy(CLOSED), integrations=["openai"])
    found = sockets(client("http://127.0.0.1:9/v1", kind))
    assert {"realtime", "responses"} <= set(found)
    for connect in found.values():
        with pytest.raises(guardai.PolicyDenied, match="cannot be masked"):
            connect(model="gpt-realtime")


def test_a_socket_that_policy_permits_is_made_and_recorded(home, policy, client, events):
    guardai.init(home=home, policy=policy("permit (principal, action, resource);"), integrations=["openai"])
    assert client("http://127.0.0.1:9/v1").realtime.connect(model="gpt-realtime")
    intent, outcome = events(action="llm.generate")
    assert intent["model"]["requested"] == "gpt-realtime"
    assert outcome["status"] == "ok"


def test_sockets_of_a_wrapped_client_are_governed_and_others_are_not(home, policy, client):
    guardai.init(home=home, policy=policy(CLOSED), integrations=[])
    made = guardai.wrap(client("http://127.0.0.1:9/v1"))
    with pytest.raises(guardai.PolicyDenied):
        made.realtime.connect(model="gpt-realtime")
    assert client("http://127.0.0.1:9/v1").realtime.connect(model="gpt-realtime")
