"""Each kind that the packs find, through masks and through streams.

On the engine that this machine takes by itself: that all engines see the same is shown by `test_engines`, `test_scan`
and `test_every_pack`.
"""

from guardai.text import Masking, StreamMasker, mask, scan


def through(pieces):
    masker = StreamMasker()
    return "".join([masker.feed(piece) for piece in pieces]) + masker.finish()


def test_every_kind_survives_every_split_in_two(example):
    label, value, before = example
    text = f"Well, {before}{value}{'@h.example.com ' if label == 'secret.url_password' else ' '}is it."
    whole = mask(text)
    for cut in range(len(text) + 1):
        assert through([text[:cut], text[cut:]]) == whole


def test_every_kind_survives_single_characters(example):
    _, value, before = example
    for text in (f"{before}{value}", f"{before}{value} mobile, {before}{value}\n"):
        assert through(text) == mask(text)


def test_no_mask_leaves_something_that_is_found_again(example):
    label, value, before = example
    for how in ("redact", "hash", "partial"):
        masking = Masking(lambda _: how, key=b"k")
        for text in (f"{before}{value}", f"call phone card ssn {before}{value} mobile"):
            masked = masking.text(text)
            assert scan(masked) == [], how


def test_nothing_is_left_of_a_value_that_is_masked(example):
    label, value, before = example
    after = "@host" if label == "secret.url_password" else '"' if before.endswith('"') else " "
    assert value not in mask(before + value + after)
