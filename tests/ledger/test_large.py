"""What it takes to verify a large ledger: as much memory as for a small one."""

import tracemalloc

import pytest

from guardai.ledger import Ledger, verify
from guardai.lineage import EdgeTable


def make(home, event, count, *, seal):
    ledger = Ledger.open(home, seal=False, projection=EdgeTable())
    for n in range(count):
        ledger.append(event(call=f"c-{n}", lineage=[{"evidence": "possible", "from": f"0123456789abcdef-{n:x}"}]))
    ledger.close(timeout=60)
    if seal:
        assert ledger.flush(60)


def peak_of(home, count):
    """Bytes that verification takes at most beside what is there anyway."""
    verify(home, adopt=False, projection=EdgeTable())  # what is remembered for good is remembered now
    tracemalloc.start()
    try:
        report = verify(home, adopt=False, projection=EdgeTable())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.verdict == 0, report
    assert report.events >= count + 2
    return peak


@pytest.mark.parametrize("seal", [True, False], ids=["store", "spool"])
def test_verification_takes_no_more_memory_for_more_events(tmp_path, event, seal):
    peaks = {}
    for count in (5_000, 20_000):
        make(tmp_path / str(count), event, count, seal=seal)
        peaks[count] = peak_of(tmp_path / str(count), count)
    # Ten bytes an event are none: a leaf hash alone would be 65.
    assert peaks[20_000] - peaks[5_000] < 10 * 15_000, peaks
