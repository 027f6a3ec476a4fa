import sqlite3

from guardai.lineage import EdgeTable, Fed, upstream


def sources(fed):
    return [edge["from"] for edge in fed.edges()]


def test_call_is_fed_by_what_the_session_read():
    fed = Fed()
    fed.read("rows-1")
    fed.read("rows-2")
    assert sources(fed) == ["rows-1", "rows-2"]


def test_after_an_answer_the_answer_stands_for_what_was_before_it():
    fed = Fed()
    fed.read("rows-1")
    fed.answered("answer-1")
    fed.read("rows-2")
    assert sources(fed) == ["answer-1", "rows-2"]


def test_newest_source_stands_for_those_before_it():
    fed = Fed()
    assert fed.latest() == []
    fed.answered("answer-1")
    fed.read("rows-2")
    assert [edge["from"] for edge in fed.latest()] == ["rows-2"]


def test_edges_claim_no_more_than_possible():
    fed = Fed()
    fed.read("rows-1")
    assert fed.edges() == [{"evidence": "possible", "from": "rows-1"}]


def test_where_there_are_more_sources_than_an_event_can_name_the_newest_stands_for_the_rest():
    fed = Fed()
    for n in range(100):
        fed.read(f"rows-{n}")
    assert len(fed.edges()) == 65
    assert sources(fed)[-1] == "rows-99"


def test_following_edges_backwards_reaches_everything_that_was_in_the_prompt():
    store = sqlite3.connect(":memory:")
    store.execute("CREATE TABLE edges (source TEXT, event TEXT, evidence TEXT)")
    table = EdgeTable()
    for event in (
        {"id": "a", "lineage": []},
        {"id": "b", "lineage": [{"from": "a", "evidence": "possible"}]},
        {"id": "c", "lineage": [{"from": "b", "evidence": "observed"}]},
        {"id": "d", "lineage": [{"from": "a", "evidence": "possible"}]},
        {"id": "no-call"},
    ):
        store.executemany("INSERT INTO edges VALUES (?, ?, ?)", table.rows(event))
    assert sorted(upstream(store, "c")) == ["a", "b"]
