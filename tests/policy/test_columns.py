"""Labels written into a catalog that somebody else wrote."""

import os
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.errors import BundleError
from guardai.policy import STARTER, Catalog
from guardai.policy.columns import pattern, save, with_labels

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
LABELS = st.sampled_from(["pii.email", "pii.phone", "secret.generic", "origin.eu"])
CATALOGS = [
    "",
    "# nothing but a comment",
    "[columns]",
    '[columns]\n\n[labels]\npii = "token"',
    '[columns]\n"a.b" = ["x.y"] # why\n',
    '[columns]\n"a.b" = [\n  "x.y",   # one\n  "x.z"\n]\n# attached\n\n# of the labels\n[labels]\npii = "token"\n',
    '# 1\ncolumns = {"a.b" = ["x.y"]} # 2\n[labels]\npii = "token"\n',
    'columns."a.b" = ["x.y"]\n',
    '[[models]]\nhost = "a"\n\n[[models]]\nhost = "b"\n',
    '[columns]\r\n"a.b" = ["x.y"]\r\n\r\n# labels\r\n[labels]\r\npii = "token"\r\n',
    "[columns]\n'*.email' = ['pii.email']\n\"Customers.Phone\" = []\n",
]


@pytest.fixture(params=[*CATALOGS, None], ids=lambda text: repr(text)[:20])
def catalog(request):
    return request.param if request.param is not None else (STARTER / "catalog.toml").read_text(encoding="utf-8")


def lines(text):
    return [line for line in text.splitlines() if line.strip()]


class TestWithLabels:
    def test_nothing_that_was_there_is_changed_or_taken_away(self, catalog):
        made = with_labels(
            catalog, {"customers.email": ["pii.email"], "a.b": ["pii.phone"], "customers.phone": ["x.q"]}
        )
        before, after = tomllib.loads(catalog), tomllib.loads(made)
        for key, labels in before.pop("columns", {}).items():
            assert after["columns"][key][: len(labels)] == labels
        columns = after.pop("columns")
        assert after == before
        assert columns["customers.email"] == ["pii.email"]
        assert columns["a.b"][-1] == "pii.phone"

    def test_comments_and_lines_stay(self, catalog):
        made = with_labels(catalog, {"customers.email": ["pii.email"]})
        kept = lines(catalog)
        # An inline table has one line, which grows.
        assert [line for line in lines(made) if line in kept] == [
            line for line in kept if not line.startswith("columns = ")
        ]

    def test_line_ends_stay(self, catalog):
        made = with_labels(catalog, {"customers.email": ["pii.email"]})
        if "\r\n" in catalog:
            assert made.count("\r\n") == made.count("\n")
        else:
            assert "\r" not in made

    def test_second_time_changes_nothing(self, catalog):
        wanted = {"customers.email": ["pii.email"], "a.b": ["pii.phone", "pii.email"]}
        made = with_labels(catalog, wanted)
        assert with_labels(made, wanted) is made

    def test_new_labels_stand_with_the_columns_and_not_behind_the_next_heading(self):
        text = (STARTER / "catalog.toml").read_text(encoding="utf-8")
        made = with_labels(text, {"customers.email": ["pii.email"]})
        assert made.index('"customers.email"') < made.index("# ---- Labels ----")

    @given(
        st.dictionaries(st.tuples(NAMES, NAMES), st.lists(LABELS, min_size=1, max_size=3), max_size=5),
        st.integers(0, 10),
    )
    def test_whatever_a_column_is_called_it_alone_gets_the_label(self, wanted, which):
        made = with_labels(CATALOGS[which], {pattern(*key): labels for key, labels in wanted.items()})
        catalog = Catalog.parse(made)
        for (table, column), labels in wanted.items():
            assert catalog.column_labels(table, column) >= set(labels)
        assert not catalog.column_labels("no such table", "no such column")

    def test_what_is_special_in_a_pattern_is_not_in_a_name(self):
        catalog = Catalog.parse(
            with_labels("", {pattern("t", "*"): ["pii.email"], pattern("u", "[ab]?"): ["pii.phone"]})
        )
        assert catalog.column_labels("t", "*") == {"pii.email"}
        assert not catalog.column_labels("t", "id")
        assert not catalog.column_labels("u", "ax")

    @pytest.mark.parametrize(
        "text", ["[columns", "unknown = 1", '[columns]\na = "b"', '[columns]\n"a.b" = "pii.email"']
    )
    def test_what_is_no_catalog_is_refused(self, text):
        with pytest.raises(BundleError, match="catalog.toml"):
            with_labels(text, {"a.b": ["pii.email"]})

    def test_label_that_is_none_is_refused(self):
        with pytest.raises(BundleError):
            with_labels("", {"a.b": ["Not A Label"]})


class TestSave:
    def test_file_is_replaced_with_its_mode(self, tmp_path):
        file = tmp_path / "catalog.toml"
        file.write_text("a")
        file.chmod(0o640)
        save(file, "a", "b")
        assert file.read_text() == "b"
        assert file.stat().st_mode & 0o777 == 0o640
        assert os.listdir(tmp_path) == ["catalog.toml"]

    def test_file_that_is_not_there_is_made(self, tmp_path):
        save(tmp_path / "catalog.toml", "", "b")
        assert (tmp_path / "catalog.toml").read_text() == "b"

    def test_link_stays_a_link(self, tmp_path):
        (tmp_path / "real.toml").write_text("a")
        (tmp_path / "catalog.toml").symlink_to("real.toml")
        save(tmp_path / "catalog.toml", "a", "b")
        assert (tmp_path / "catalog.toml").is_symlink()
        assert (tmp_path / "real.toml").read_text() == "b"

    def test_what_somebody_else_saved_in_the_meantime_is_not_overwritten(self, tmp_path):
        file = tmp_path / "catalog.toml"
        file.write_text("theirs")
        with pytest.raises(BundleError, match="in the meantime"):
            save(file, "a", "b")
        assert file.read_text() == "theirs"
        assert os.listdir(tmp_path) == ["catalog.toml"]

    def test_interrupted_write_leaves_the_old_file_and_nothing_else(self, tmp_path, monkeypatch):
        file = tmp_path / "catalog.toml"
        file.write_text("a")

        def interrupted(_):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save(file, "a", "b")
        assert file.read_text() == "a"
        assert os.listdir(tmp_path) == ["catalog.toml"]

    def test_folder_that_cannot_be_written_is_told(self, tmp_path):
        with pytest.raises(BundleError, match="cannot be written"):
            save(tmp_path / "nowhere" / "catalog.toml", "", "b")
