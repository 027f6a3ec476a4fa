"""Where policy comes from, as settings say it."""

from pathlib import Path

import pytest

from guardai.errors import ConfigError
from guardai.settings import is_loopback, load


def test_paths_of_a_file_are_relative_to_that_file(tmp_path):
    (tmp_path / "guardai.toml").write_text(
        'policy = "b"\npolicy_root = "root.json"\npolicy_keys = ["a.pub", "/b.pub"]\n'
    )
    (tmp_path / "below").mkdir()
    found = load(start=tmp_path / "below")
    assert (found.policy, found.policy_root) == (tmp_path / "b", tmp_path / "root.json")
    assert found.policy_keys == (tmp_path / "a.pub", Path("/b.pub"))


def test_url_stays_what_it_is_wherever_it_stands(tmp_path, monkeypatch):
    (tmp_path / "guardai.toml").write_text('policy = "https://policies.example.com/shop"\n')
    assert load(start=tmp_path).policy == "https://policies.example.com/shop"
    monkeypatch.setenv("GUARDAI_POLICY", "file:///srv/policies")
    assert load(start=tmp_path).policy == "file:///srv/policies"


def test_keys_of_the_environment_are_separated_by_commas(tmp_path, monkeypatch):
    monkeypatch.setenv("GUARDAI_POLICY_KEYS", "a.pub, b.pub")
    assert load(start=tmp_path).policy_keys == (tmp_path / "a.pub", tmp_path / "b.pub")


@pytest.mark.parametrize(
    "wrong", [{"policy_keys": "a.pub"}, {"policy_keys": [1]}, {"policy_root": 1}, {"policy_refresh": "x"}]
)
def test_setting_of_the_wrong_kind_is_told_by_its_name(wrong):
    [key] = wrong
    with pytest.raises(ConfigError, match=f"'{key}' must be a"):
        load(wrong)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.9.1", "::1", "localhost"]
    + ["127.0.0.1.example.com", "localhost.example", "0x7f.1", "10.0.0.1", ""],
)
def test_loopback_is_known_by_its_name_and_addresses_alone(host):
    assert is_loopback(host) is (host in ("127.0.0.1", "127.8.9.1", "::1", "localhost"))
