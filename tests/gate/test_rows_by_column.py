"""Results that come column by column bear what rows bear, and calls can be asked about before they are made."""

import pytest

import guardai
from guardai.hooks import Call, LiveSchema, Target, acting, foreseen, opened

KEY = "AKIA" + "IOSFODNN7EXAMPLE"
TARGET = Target("database", "duckdb:///:memory:")
SCHEMA = LiveSchema(tables={"t": ("id", "name", "note")})
SQL = "SELECT id, name, note FROM t"
COLUMNS = [[1, 2], ["ada", None], ["none", KEY]]
POLICY = '@id("all") {annotations} permit (principal, action, resource);' + (
    '@id("no-names") @mask("redact") forbid (principal, action == Action::"reveal", resource == Label::"pii.name");'
)
CATALOG = '[columns]\n"t.name" = ["pii.name"]\n'


@pytest.fixture
def rows(home, policy):
    def begun(annotations="", mode="enforce"):
        guardai.init(home=home, policy=policy(POLICY.format(annotations=annotations), CATALOG), mode=mode)
        with guardai.session(agent="a"):
            run = acting(SQL, "duckdb")
        ticket = opened(Call("db", TARGET, statement=SQL, dialect="duckdb", schema=SCHEMA), run)
        found = ticket.result_rows(["id", "name", "note"])
        found.label()
        return found

    return begun


class TestColumns:
    def test_only_columns_that_change_are_made_anew(self, rows, events):
        asked = []
        begun = rows()
        made = begun.columns(2, [1, 2], lambda at: asked.append(at) or COLUMNS[at])
        assert made == {1: ["[NAME]", None]}  # the key is found, and may pass
        assert asked == [1, 2]
        begun.end()
        outcome = events(kind="call.outcome")[-1]
        assert outcome["body"]["rows"] == 2
        assert {"pii.name", "secret.aws_access_key"} <= outcome["findings"].keys()

    def test_they_are_what_rows_would_have_been(self, rows):
        begun = rows()
        by_row = begun.many(list(zip(*COLUMNS, strict=True)))
        made = begun.columns(2, [1, 2], COLUMNS.__getitem__)
        by_column = [made.get(at, column) for at, column in enumerate(COLUMNS)]
        assert list(zip(*by_column, strict=True)) == by_row

    def test_columns_that_are_masked_as_wholes_are_known_before_the_first_row(self, rows):
        assert rows().masked == {1: "redact"}

    def test_cap_counts_them(self, rows):
        begun = rows('@row_cap("3")')
        begun.columns(2, [], COLUMNS.__getitem__)
        with pytest.raises(guardai.ResultWithheld, match="policy lets 3 rows"):
            begun.columns(2, [], COLUMNS.__getitem__)

    def test_none_pass_once_the_call_has_ended(self, rows):
        begun = rows()
        begun.end()
        with pytest.raises(guardai.ResultWithheld):
            begun.columns(2, [], COLUMNS.__getitem__)

    def test_what_cannot_be_inspected_is_withheld(self, rows):
        begun = rows()
        with pytest.raises(guardai.ResultWithheld):
            begun.columns(2, [0], lambda _: 1 / 0)

    def test_form_that_cannot_be_masked_is_withheld_with_its_reason(self, rows, events):
        with pytest.raises(guardai.ResultWithheld, match="no such form"):
            rows().withhold(guardai.GuardError("no such form"))
        assert events(kind="call.outcome")[-1]["status"] == "withheld"

    def test_observe_mode_changes_nothing_and_records_what_was_found(self, rows, events):
        begun = rows(mode="observe")
        assert begun.columns(2, [1, 2], COLUMNS.__getitem__) == {}
        assert begun.masked == {}
        begun.end()
        assert "secret.aws_access_key" in events(kind="call.outcome")[-1]["findings"]


class TestForeseen:
    def foreseen(self, sql):
        with guardai.session(agent="a"):
            run = acting(sql, "duckdb")
            return foreseen(Call("db", TARGET, statement=sql, dialect="duckdb"), run)

    def test_permitted_call_leaves_no_record(self, home, events):
        guardai.init(home=home)
        assert self.foreseen("SELECT id FROM t") is False
        assert [event for event in events() if event["kind"].startswith("call.")] == []

    def test_refused_one_is_denied_and_recorded(self, home, calls):
        guardai.init(home=home)
        with pytest.raises(guardai.PolicyDenied):
            self.foreseen("DROP TABLE t")
        assert [outcome["status"] for _, outcome in calls("db.destroy")] == ["denied"]

    def test_it_tells_where_policy_permits_nothing_but_reading(self, home, policy):
        guardai.init(home=home, policy=policy('permit (principal, action == Action::"db.read", resource);'))
        assert self.foreseen("SELECT id FROM t") is True

    def test_observe_mode_refuses_nothing(self, home, calls):
        guardai.init(home=home, mode="observe")
        assert self.foreseen("DROP TABLE t") is False
        assert calls() == []
