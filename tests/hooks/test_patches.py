import asyncio
import functools
import importlib
import inspect
import pickle
import sys

import pytest
import wrapt

from guardai.hooks import Hooks


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A module that is not imported yet."""
    (tmp_path / "guardai_test_library.py").write_text(
        "class Client:\n"
        "    def ask(self, x):\n        return ('asked', x)\n"
        "    async def aask(self, x):\n        return ('asked', x)\n"
        "class Special(Client):\n    def ask(self, x):\n        return ('special', super().ask(x))\n"
        "def connect(x):\n    return ('connected', x)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "guardai_test_library"
    sys.modules.pop("guardai_test_library", None)


def doubled(wrapped, instance, args, kwargs):
    return ("seen", wrapped(*args, **kwargs))


@pytest.fixture
def hooks():
    made = Hooks()
    yield made
    made.undo()


def test_patch_waits_for_the_programs_own_import(hooks, library):
    patch = hooks.wrap(f"{library}:Client.ask", doubled)
    assert library not in sys.modules
    assert patch.status == "pending"
    module = importlib.import_module(library)
    assert patch.status == "patched"
    assert module.Client().ask(1) == ("seen", ("asked", 1))


def test_library_that_is_imported_already_is_patched_at_once(hooks, library):
    module = importlib.import_module(library)
    early = module.Client()
    assert hooks.wrap(f"{library}:Client.ask", doubled).status == "patched"
    assert early.ask(1) == ("seen", ("asked", 1))


def test_undoing_restores_the_original_object(hooks, library):
    module = importlib.import_module(library)
    original = vars(module.Client)["ask"]
    hooks.wrap(f"{library}:Client.ask", doubled)
    hooks.undo()
    assert vars(module.Client)["ask"] is original


def test_undoing_from_below_another_vendors_layer_leaves_theirs(hooks, library):
    module = importlib.import_module(library)
    hooks.wrap(f"{library}:connect", doubled)
    wrapt.wrap_function_wrapper(module, "connect", lambda w, i, a, k: ("theirs", w(*a, **k)))
    assert module.connect(1) == ("theirs", ("seen", ("connected", 1)))
    hooks.undo()
    assert module.connect(1) == ("theirs", ("connected", 1))


def test_layer_that_somebody_closed_over_passes_through_once_undone(hooks, library):
    module = importlib.import_module(library)
    hooks.wrap(f"{library}:connect", doubled)
    inner = module.connect

    @functools.wraps(inner)
    def theirs(x):
        return ("theirs", inner(x))

    module.connect = theirs
    hooks.undo()
    assert module.connect(1) == ("theirs", ("connected", 1))


def test_bound_method_cached_before_undoing_passes_through(hooks, library):
    module = importlib.import_module(library)
    hooks.wrap(f"{library}:Client.ask", doubled)
    cached = module.Client().ask
    hooks.undo()
    assert cached(1) == ("asked", 1)


def test_subclass_that_overrides_and_calls_super_is_seen_once(hooks, library):
    module = importlib.import_module(library)
    hooks.wrap(f"{library}:Client.ask", doubled)
    assert module.Special().ask(1) == ("special", ("seen", ("asked", 1)))


def test_async_method_stays_a_coroutine_function_and_runs_when_awaited(hooks, library):
    order = []

    async def wrapper(wrapped, instance, args, kwargs):
        order.append("ran")
        return ("seen", await wrapped(*args, **kwargs))

    hooks.wrap(f"{library}:Client.aask", wrapper)
    module = importlib.import_module(library)
    assert inspect.iscoroutinefunction(module.Client.aask)

    async def main():
        made = module.Client().aask(1)
        order.append("made")
        return await made

    assert asyncio.run(main()) == ("seen", ("asked", 1))
    assert order == ["made", "ran"]


def test_missing_target_is_told_and_does_not_break_the_programs_import(hooks, library):
    patch = hooks.wrap(f"{library}:Client.gone", doubled)
    importlib.import_module(library)
    assert patch.status == "absent"
    assert "gone" in patch.why


def test_library_imported_after_undoing_is_not_patched(hooks, library):
    hooks.wrap(f"{library}:Client.ask", doubled)
    hooks.undo()
    module = importlib.import_module(library)
    assert module.Client().ask(1) == ("asked", 1)


def test_patched_functions_and_methods_pickle_by_name(hooks, library):
    module = importlib.import_module(library)
    hooks.wrap(f"{library}:connect", doubled)
    hooks.wrap(f"{library}:Client.ask", doubled)
    assert pickle.loads(pickle.dumps(module.connect))(1) == ("seen", ("connected", 1))
    assert pickle.loads(pickle.dumps(module.Client().ask))(1) == ("seen", ("asked", 1))


def test_signature_is_the_wrapped_functions(hooks, library):
    module = importlib.import_module(library)
    before = inspect.signature(module.Client.ask)
    hooks.wrap(f"{library}:Client.ask", doubled)
    assert inspect.signature(module.Client.ask) == before
