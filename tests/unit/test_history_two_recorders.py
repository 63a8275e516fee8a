"""Two recorders on one history: the successor writes already while the old one drains."""

from __future__ import annotations

from pathlib import Path

from processor.recorder.sqlite import SqliteHistoryStore
from tests.unit.test_history_sqlite import accepted, batch, ended, rid, started


def test_neither_of_two_recorders_puts_a_run_in_the_place_of_the_others(tmp_path: Path) -> None:
    old, new = SqliteHistoryStore(tmp_path / "history.db"), SqliteHistoryStore(tmp_path / "history.db")
    try:
        old.open_for_writing()
        new.open_for_writing()
        for number in range(6):
            (old, new)[number % 2].apply(batch(accepted(number), started(number), ended(number)), {})
        # Both read the same topic: what the one has written already, the other meets again.
        new.apply(batch(*(accepted(number) for number in range(6))), {})
        assert {number: (new.get_run(rid(number)) or {}).get("status") for number in range(6)} == dict.fromkeys(
            range(6), "FINISHED"
        )
    finally:
        old.close()
        new.close()
