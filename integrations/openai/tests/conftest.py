"""A gate of its own for every test, the real client, and a model on loopback that shows what really arrived."""

import os
import sys

import pytest

pytest.importorskip("openai")

import openai

import guardai
from guardai.testing.model_server import ModelServer


@pytest.fixture(autouse=True)
def _no_endpoint_of_the_machine(monkeypatch):
    for name in [n for n in os.environ if n.startswith("OPENAI_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def guard(home):
    """guardai, started with the starter policy."""
    guardai.init(home=home, integrations=["openai"])
    return guardai


@pytest.fixture
def outcomes(events):
    def read(action=None):
        return [e for e in events(kind="call.outcome") if action is None or e["action"] == action]

    return read


@pytest.fixture
def model():
    """Starts model servers: `model([text("hello")])`."""
    servers = []

    def start(script=(), **kwargs):
        server = ModelServer(script, **kwargs)
        server.__enter__()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def client(request):
    """Makes clients that do not wait before they retry."""
    clients = []

    def make(server, kind=openai.OpenAI, **kwargs):
        kwargs.setdefault("max_retries", 0)
        url = server if isinstance(server, str) else server.base_url
        made = kind(base_url=url, api_key="anything", **kwargs)
        clients.append(made)
        return made

    yield make
    for made in clients:
        if isinstance(made, openai.OpenAI):
            made.close()


@pytest.fixture
def http():
    """The HTTP library that this major of the client uses."""
    base = sys.modules["openai._base_client"]
    return getattr(base, "httpx2", None) or base.httpx


@pytest.fixture
def mocked(http):
    """A client whose answers a function makes: for what the stand-in does not speak."""
    seen = []

    def make(answer, kind=openai.OpenAI, **kwargs):
        def handle(request):
            seen.append(request)
            return answer(request) if callable(answer) else answer

        transport = http.MockTransport(handle)
        cls = http.Client if kind is openai.OpenAI else http.AsyncClient
        made = kind(
            base_url="http://model.test/v1", api_key="k", max_retries=0, http_client=cls(transport=transport), **kwargs
        )
        made.seen = seen
        return made

    return make
