"""The two faces differ in nothing but `await`."""

import ast
import asyncio
import inspect

import pytest

import guardai
from guardai.gate import faces


@pytest.fixture
def started(home):
    guardai.init(home=home, integrations=[])


def test_sync_and_async_face_are_the_same_code_but_for_await():
    class Plain(ast.NodeTransformer):
        def visit_Await(self, node):
            return self.visit(node.value)

        def visit_AsyncFunctionDef(self, node):
            return self.visit(ast.FunctionDef(**{f: getattr(node, f, None) for f in ast.FunctionDef._fields}))

    def body(function):
        tree = Plain().visit(ast.parse(inspect.getsource(function))).body[0]
        return [ast.dump(node) for node in tree.body[1:]]

    assert body(faces.governed) == body(faces.agoverned)


class TestTool:
    def test_sync_and_async_tools_are_governed_alike(self, started, calls):
        @guardai.tool(name="t")
        def sync(a, b=2):
            return {"sum": a + b}

        @guardai.tool(name="t")
        async def asynchronous(a, b=2):
            return {"sum": a + b}

        assert sync(1) == asyncio.run(asynchronous(1)) == {"sum": 3}
        first, second = calls("tool.call")
        assert [e["status"] for e in (first[1], second[1])] == ["ok", "ok"]
        assert first[0]["resource"] == second[0]["resource"] == [{"dir": "out", "uri": "tool://t"}]

    def test_secret_in_an_argument_does_not_reach_the_tool(self, started):
        key = "AKIA" + "IOSFODNN7" + "QWERTYU"

        @guardai.tool
        def send(text, *, to="x"):
            return text

        assert key not in send(f"the key is {key}", to="y")

    def test_wrong_arguments_raise_what_the_function_would_raise(self, started):
        @guardai.tool
        def add(a, b):
            return a + b

        with pytest.raises(TypeError, match="missing a required argument: 'b'|missing 1 required"):
            add(1)
        with pytest.raises(TypeError):
            add(1, 2, 3)
        with pytest.raises(TypeError):
            add(1, 2, c=3)

    def test_exception_of_the_tool_comes_through_unchanged(self, started, calls):
        @guardai.tool
        def broken():
            raise KeyError("x")

        with pytest.raises(KeyError, match="x"):
            broken()
        assert calls("tool.call")[0][1]["status"] == "error"

    def test_cancelled_tool_has_status_unknown(self, started, calls):
        @guardai.tool
        async def slow():
            await asyncio.sleep(60)

        async def main():
            task = asyncio.ensure_future(slow())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert calls("tool.call")[0][1]["status"] == "unknown"

    def test_nested_tools_are_children_of_the_outer_one(self, started, calls):
        @guardai.tool(name="inner")
        def inner():
            return 1

        @guardai.tool(name="outer")
        def outer():
            return inner()

        outer()
        intents = {pair[0]["resource"][0]["uri"]: pair[0] for pair in calls("tool.call")}
        assert intents["tool://inner"]["parent"] == intents["tool://outer"]["call"]
        assert "parent" not in intents["tool://outer"]

    def test_tool_of_an_application_that_did_not_start_guardai_refuses_to_run(self):
        @guardai.tool
        def anything():
            pytest.fail("ran")

        with pytest.raises(guardai.GuardError, match="call guardai.init"):
            anything()

    def test_generator_cannot_become_a_governed_tool(self):
        with pytest.raises(TypeError, match="is a generator"):

            @guardai.tool
            def rows():
                yield 1

    def test_unknown_effect_is_refused_at_once(self):
        with pytest.raises(ValueError, match="'read', 'write' or 'destroy'"):

            @guardai.tool(effects="reed")
            def f(): ...

    def test_signature_name_and_doc_are_kept(self):
        @guardai.tool
        def f(a: int, b: str = "x") -> str:
            """Does f."""

        assert (f.__name__, f.__doc__, str(inspect.signature(f))) == ("f", "Does f.", "(a: int, b: str = 'x') -> str")

    def test_method_is_governed_with_self_as_an_argument_like_any_other(self, started):
        class Box:
            @guardai.tool(name="box.get")
            def get(self, key):
                return {"key": key}

        assert Box().get("k") == {"key": "k"}


class TestSession:
    def test_session_is_recorded_from_open_to_close(self, started, events):
        with guardai.session(user="u-1", agent="a", purpose="report") as session:
            assert guardai.current() == session
        assert guardai.current() is None
        [opened] = events(kind="session.open")
        assert (opened["session"], opened["body"]["purpose"]) == (session.id, "report")
        assert len(events(kind="session.close", session=session.id)) == 1

    def test_async_session(self, started):
        async def main():
            async with guardai.session(agent="a") as session:
                await asyncio.sleep(0)
                return guardai.current() == session

        assert asyncio.run(main())

    def test_agent_inside_an_agents_session_acts_for_it_and_for_the_same_user(self, started):
        with guardai.session(agent="planner", user="ann"), guardai.session(agent="writer") as inner:
            assert (inner.principal.chain, inner.principal.user) == (("planner",), "ann")

    def test_one_session_object_cannot_be_entered_twice(self, started):
        scope = guardai.session(agent="a")
        with scope, pytest.raises(RuntimeError, match="entered already"):
            scope.__enter__()

    def test_session_before_init_says_what_to_do(self):
        with pytest.raises(guardai.GuardError, match="call guardai.init"), guardai.session():
            pass

    def test_wrong_audience_is_refused_at_once(self):
        with pytest.raises(ValueError, match="audience must be one of process, person"):
            guardai.session(audience="public")

    def test_own_record_is_redacted_and_tied_to_the_session(self, started, events):
        with guardai.session(agent="a") as session:
            guardai.record("review.done", note="alice@example.com agreed", score=3)
        [event] = events(kind="review.done")
        assert event["session"] == session.id
        assert event["body"]["score"] == 3
        assert "alice" not in event["body"]["note"]

    def test_own_record_cannot_pose_as_one_of_guardais(self, started):
        with pytest.raises(ValueError, match="written by guardai itself"):
            guardai.record("call.outcome", status="ok")

    @pytest.mark.parametrize("kind", ["Call.intent", " call", "", "bob@example.org", "approval.given", "noDots", "one"])
    def test_kind_that_is_no_name_or_poses_as_one_of_guardais_is_refused(self, started, kind):
        with pytest.raises(ValueError, match=r"joined by dots|written by guardai"):
            guardai.record(kind)

    def test_session_within_a_session_shows_no_more_than_the_outer_one(self, started):
        with guardai.session(agent="a", audience="person", on_denied="abort"), guardai.session(agent="b") as inner:
            assert (inner.audience, inner.on_denied) == ("person", "abort")

    def test_shutdown_inside_a_session_keeps_the_programs_own_exception(self, started):
        with pytest.raises(KeyError), guardai.session(agent="a"):
            guardai.shutdown()
            raise KeyError("mine")


class TestLazily:
    @pytest.mark.parametrize("lazy", [lambda: (n for n in [1]), lambda: iter([1]), lambda: map(str, [1])])
    def test_result_that_would_come_after_the_call_is_withheld(self, started, lazy):
        with pytest.raises(guardai.ResultWithheld, match="return a list"):
            guardai.tool(name="lazy")(lazy)()

    def test_object_with_an_async_call_is_awaited_within_the_call(self, started, calls):
        class Ask:
            async def __call__(self, x):
                await asyncio.sleep(0)
                return {"x": x}

        assert asyncio.run(guardai.tool(name="ask")(Ask())(1)) == {"x": 1}
        assert calls("tool.call")[0][1]["status"] == "ok"


class TestCatalog:
    def test_tool_that_the_catalog_lists_is_where_the_catalog_says(self, home, policy):
        cedar = (
            "permit (principal, action, resource);"
            '@id("remote") @mask("token") forbid (principal, action == Action::"reveal", resource in Label::"pii") '
            'when { context.to.kind == "tool" && context.to.trust != "internal" };'
        )
        catalog = '[tools.send_mail]\ntrust = "listed"\nprovider = "acme"\neffects = "write"\n'
        guardai.init(home=home, integrations=[], policy=policy(cedar, catalog))
        seen = []
        guardai.tool(name="send_mail")(lambda to: seen.append(to))("alice@example.com")
        guardai.tool(name="here")(lambda to: seen.append(to))("alice@example.com")
        assert seen == ["<EMAIL_1>", "alice@example.com"]

    def test_policy_can_ask_what_a_tool_acts_on(self, home, policy):
        cedar = (
            "permit (principal, action, resource);"
            '@id("no-crm") forbid (principal, action == Action::"tool.call", resource) '
            'when { context.tool.resource == "crm" };'
        )
        guardai.init(home=home, integrations=[], policy=policy(cedar))
        assert guardai.tool(name="free")(lambda: 1)() == 1
        with pytest.raises(guardai.PolicyDenied, match="no-crm"):
            guardai.tool(name="bound", resource="crm")(lambda: 1)()

    def test_two_tools_of_one_name_are_judged_each_by_its_own_effects(self, home, policy):
        cedar = (
            "permit (principal, action, resource);"
            '@id("no") forbid (principal, action == Action::"tool.call", resource is Tool) '
            'when { resource.effects == "destroy" };'
        )
        guardai.init(home=home, integrations=[], policy=policy(cedar))
        guardai.tool(name="same", effects="read")(lambda: 1)()
        with pytest.raises(guardai.PolicyDenied):
            guardai.tool(name="same", effects="destroy")(lambda: 1)()
