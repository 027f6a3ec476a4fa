"""What the tests of the core and of the integrations share: a home of their own, a gate that is taken down again, and the events it left."""

import contextlib
import importlib.util
import itertools
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Tests are modules of no package; this one is shared by those of the core and of the integrations.
_spec = importlib.util.spec_from_file_location("services", Path(__file__).parent / "tests" / "services.py")
services = sys.modules["services"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(services)
nats_server = services.nats_server
#: Databases, fresh for each test; a hardware token.
mariadb, mariadb_server = services.mariadb_database, services.mariadb_server
softhsm = services.softhsm
postgres, postgres_server = services.postgres_database, services.postgres_server

# Machines are shared: an example is slow or wrong, not late.
settings.register_profile("guardai", deadline=None, print_blob=True)
settings.load_profile("guardai")


@pytest.fixture
def checked_kinds():
    """Which kinds of the events that a test leaves have to be as their structs say; a room's tests may ask for more."""
    return frozenset()


def _check_events(home, kinds):
    """Whatever the product records is an event of its kind, field by field and byte by byte."""
    from guardai.ledger import events, read_event

    for data in itertools.islice(events(home), 2_000):
        if json.loads(data)["kind"] in kinds:
            read_event(data)


@pytest.fixture(autouse=True)
def _nothing_of_the_machine(monkeypatch, tmp_path, checked_kinds):
    """No test reads or writes the home, the settings or the environment of whoever runs it; what it records is checked."""
    for name in [
        n
        for n in os.environ
        if n.startswith("GUARDAI_") and n not in {"GUARDAI_REQUIRE_SERVICES", "GUARDAI_TEXT_ENGINE"}
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GUARDAI_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    yield
    if "guardai" in sys.modules:
        sys.modules["guardai"].shutdown()
        run = sys.modules.get("guardai.gate.run")
        if run is not None:
            run.HERE.set(None)
    if checked_kinds and (tmp_path / "home" / "ledger").is_dir():
        _check_events(tmp_path / "home", checked_kinds)


@pytest.fixture(scope="session")
def _compiled(tmp_path_factory):
    """What was compiled to look through texts, by all processes of the test run: it takes most of a second, and each home is new."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def _compiled_once(request, monkeypatch, tmp_path, _compiled):
    """Within the test's process a home that has nothing compiled has what others have. The tests of texts see to that themselves."""
    if request.path.parent.name == "text":
        yield
        return
    from guardai.text.engines import cache

    read = cache.read
    monkeypatch.setattr(cache, "read", lambda folder, name: read(folder, name) or read(_compiled, name))
    yield
    for file in (tmp_path / "home" / "cache").glob("*.hsdb"):
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(file, _compiled / file.name)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def events(home):
    """The events recorded so far, as dictionaries, oldest first."""

    def read(**match):
        from guardai.ledger import events as stored

        found = [json.loads(event) for event in stored(home)]
        return [e for e in found if all(e.get(k) == v for k, v in match.items())]

    return read


@pytest.fixture
def calls(events):
    """The intents and outcomes recorded so far, in pairs by call."""

    def read(action=None):
        pairs = {}
        for event in events():
            if event["kind"] in ("call.intent", "call.outcome") and (action is None or event["action"] == action):
                pairs.setdefault(event["call"], []).append(event)
        return list(pairs.values())

    return read


@pytest.fixture
def policy(tmp_path):
    """Writes a policy folder: `policy("permit (principal, action, resource);", catalog="")`."""

    def write(cedar, catalog=""):
        folder = tmp_path / "policy"
        (folder / "policies").mkdir(parents=True, exist_ok=True)
        (folder / "policies" / "test.cedar").write_text(cedar)
        (folder / "catalog.toml").write_text(catalog)
        return folder

    return write
