"""What of a URL may be shown."""

import pytest

from guardai.model import shown, without_secrets


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("jsonl:///var/log/a.jsonl?max_bytes=5&keep=1", "jsonl:///var/log/a.jsonl"),
        ("nats://u:p@host:4222/a.b", "nats://host:4222/a.b"),
        ("nats://token@host/a.b#x", "nats://host/a.b"),
        ("nats://u:p@ss@host/a", "nats://host/a"),
        ("otlp+https://[::1]:4318/v1/logs", "otlp+https://[::1]:4318/v1/logs"),
        ("nats://u:hush@[host/a", "nats://…"),
        ("test:", "test:"),
    ],
)
def test_url_is_shown_without_user_password_query_and_fragment(url, seen):
    assert shown(url) == seen


@pytest.mark.parametrize("url", ["nats://anna:p%40ss@h/a?token=t0ken#frag", "nats://anna:p%40ss@[h/a"])
def test_no_secret_of_a_url_stays_in_a_text_in_whatever_form(url):
    text = without_secrets(f"{url}: anna, p%40ss, p@ss, t0ken, frag", url)
    if "[" not in url:
        assert not any(secret in text for secret in ("anna", "p%40ss", "p@ss", "t0ken", "frag"))
    assert url not in text


def test_secret_that_any_word_may_hold_is_not_given_away_by_what_is_left_out():
    assert without_secrets("connection refused", "nats://u:re@h/a") == "connection refused"


def test_number_in_a_query_is_no_secret():
    assert without_secrets("3 of 3 bytes", "jsonl:///a?keep=3") == "3 of 3 bytes"
