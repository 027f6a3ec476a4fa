import re
from dataclasses import fields
from pathlib import Path

import pytest

from guardai import ConfigError
from guardai.settings import Settings, load


def test_arguments_are_stronger_than_environment_than_guardai_toml_than_pyproject(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.guardai]\nenvironment = "a"\nregion = "a"\nagent = "a"\nmode = "observe"\n'
    )
    (tmp_path / "guardai.toml").write_text('environment = "b"\nregion = "b"\nagent = "b"\n')
    monkeypatch.setenv("GUARDAI_REGION", "c")
    monkeypatch.setenv("GUARDAI_AGENT", "c")
    settings = load({"agent": "d"}, start=tmp_path)
    assert (settings.mode, settings.environment, settings.region, settings.agent) == ("observe", "b", "c", "d")


def test_unknown_key_in_a_file_names_file_key_and_what_is_allowed(tmp_path):
    (tmp_path / "guardai.toml").write_text('enviroment = "prod"\n')
    with pytest.raises(ConfigError) as told:
        load(start=tmp_path)
    assert str(tmp_path / "guardai.toml") in str(told.value)
    assert "'enviroment'" in str(told.value)
    assert "environment" in str(told.value)


def test_unknown_variable_is_an_error_that_names_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GUARDAI_MODUS", "observe")
    with pytest.raises(ConfigError, match="environment variable GUARDAI_MODUS: unknown setting 'modus'"):
        load(start=tmp_path)


def test_every_variable_that_the_docs_or_the_code_name_is_known(monkeypatch):
    root = Path(__file__).parents[2]
    pages = [root / "README.md", *(root / "docs").rglob("*.md"), *(root / "src").rglob("*.py")]
    named = {name for page in pages for name in re.findall(r"GUARDAI_[A-Z_]*[A-Z]", page.read_text("utf-8"))}
    settings_of = {f"GUARDAI_{field.name.upper()}" for field in fields(Settings)}
    for name in named - settings_of:
        monkeypatch.setenv(name, "x")
    load()


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ('mode = "watch"', "one of enforce, observe"),
        ("environment = 3", "must be a string, not int"),
        ("policy = true", "must be a path, not bool"),
        ('integrations = "openai"', "'auto' or a list of names"),
        ("sinks = [1]", "a list of URLs"),
    ],
)
def test_wrong_type_or_value_says_what_is_allowed(tmp_path, line, allowed):
    (tmp_path / "guardai.toml").write_text(line + "\n")
    with pytest.raises(ConfigError, match=allowed):
        load(start=tmp_path)


def test_file_that_is_no_toml_is_named(tmp_path):
    (tmp_path / "guardai.toml").write_text("mode = [")
    with pytest.raises(ConfigError, match=r"guardai\.toml: cannot be read as TOML"):
        load(start=tmp_path)


def test_relative_path_in_a_file_is_relative_to_that_file(tmp_path):
    (tmp_path / "guardai.toml").write_text('policy = "policy"\n')
    (tmp_path / "deep" / "er").mkdir(parents=True)
    assert load(start=tmp_path / "deep" / "er").policy == tmp_path / "policy"


def test_the_first_directory_that_has_a_file_ends_the_search(tmp_path):
    (tmp_path / "guardai.toml").write_text('region = "outer"\n')
    inner = tmp_path / "project"
    inner.mkdir()
    (inner / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert load(start=inner).region == ""


def test_guardai_home_moves_everything(tmp_path, monkeypatch):
    monkeypatch.setenv("GUARDAI_HOME", str(tmp_path / "elsewhere"))
    assert load(start=tmp_path).home == tmp_path / "elsewhere"


def test_list_settings_are_comma_separated_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("GUARDAI_INTEGRATIONS", "openai, dbapi")
    assert load(start=tmp_path).integrations == ("openai", "dbapi")


@pytest.mark.parametrize(("given", "seconds"), [("0", 0), ("90s", 90), ("30m", 1800), ("24h", 86_400), ("7d", 604_800)])
def test_duration_is_a_number_and_a_unit(given, seconds, tmp_path):
    import guardai.settings

    assert guardai.settings.seconds(load({"token_life": given}, start=tmp_path).token_life) == seconds


@pytest.mark.parametrize("given", ["24", "1 h", "-1s", "1.5h", "1w", "h", " "])
def test_duration_that_is_none_is_named_with_what_is_allowed(given, tmp_path):
    with pytest.raises(ConfigError, match=r"'token_life' must be a duration, not .*24h"):
        load({"token_life": given}, start=tmp_path)
