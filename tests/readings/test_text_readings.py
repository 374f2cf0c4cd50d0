"""Some hundred generated texts, read three times; the script beside it reads as many as asked."""

from __future__ import annotations

from tests.readings.text_readings import COLUMNS, study, table


def test_three_readers_agree_or_ours_refuse() -> None:
    counts, wrong = study(420, 7)
    assert not wrong, "\n".join(wrong[:3])
    agreed = {kind: found["all agree"] + found["two agree"] for kind, found in counts.items()}
    assert min(agreed.values()) >= 8, table(counts)  # what is refused throughout shows nothing
    assert sum(sum(found[c] for c in COLUMNS) for found in counts.values()) == 420
