from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from processor.core.clock import ManualClock
from processor.core.topics import DAY_MS, REJECTED
from processor.core.trigger_fold import TriggerFold
from processor.core.trigger_records import (
    DISCARDED,
    FireClaim,
    FireRequest,
    RejectedMark,
    Replica,
    Report,
    TriggerRecord,
)
from processor.transport.abstract import Appended, Appender, Headers, Outcome
from triggers.abstract import Health, TriggerState
from triggers.reports import BEAT_SEC, COUNTERS_SEC, MAX_PER_TICK, Reporter, Told
from triggers.tidy import FIRE_KEPT_MS, FORGET_SEC, leftovers

REPORT = Report(trigger="t", replica="me#1", state="watching")
WATCHING = Health(state=TriggerState.WATCHING)


class Topic(Appender):
    def __init__(self) -> None:
        self.written: list[tuple[str, bool]] = []
        self.outcome = Outcome.YES

    async def start(self) -> None: ...

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Appended:
        assert (topic, partition) == ("triggers", 0)
        if self.outcome is Outcome.YES:
            self.written.append(((key or b"").decode(), value is not None))
        return Appended(outcome=self.outcome)

    async def stop(self) -> None: ...

    def take(self) -> list[tuple[str, bool]]:
        written, self.written = self.written, []
        return written


def test_a_change_of_state_is_told_at_once_and_a_count_waits() -> None:
    told = Told()
    assert told.due([REPORT], 0.0) == [REPORT]
    told.note(REPORT, 0.0)
    counted = replace(REPORT, accepted=1)
    assert told.due([REPORT], 0.1) == []
    assert told.due([counted], COUNTERS_SEC - 0.1) == []
    assert told.due([counted], COUNTERS_SEC) == [counted]
    failed = replace(REPORT, state="failed", reason="no rights")
    assert told.due([failed], 0.1) == [failed]


def test_no_tick_tells_more_than_its_share_and_states_go_before_counts() -> None:
    told = Told()
    reports = [replace(REPORT, trigger=f"t{number:04}") for number in range(1_000)]
    for each in reports:
        told.note(each, 0.0)
    changed = [replace(each, accepted=1) for each in reports]
    changed[-1] = replace(changed[-1], state="waiting")
    due = told.due(changed, 100.0)
    assert len(due) == MAX_PER_TICK
    assert due[0] == changed[-1]


def test_everything_that_changed_is_told_in_turn() -> None:
    told, now_sec = Told(), 100.0
    reports = [replace(REPORT, trigger=f"t{number}") for number in range(3 * MAX_PER_TICK)]
    seen: set[str] = set()
    for step in range(3):
        for each in told.due(reports, now_sec + step):
            told.note(each, now_sec + step)
            seen.add(each.trigger)
    assert len(seen) == len(reports)


def test_a_process_beats_every_few_seconds_and_says_nothing_else_while_nothing_changes() -> None:
    clock, topic = ManualClock(), Topic()
    reporter = Reporter(appender=topic, clock=clock, replica="me#1")

    async def main() -> None:
        await reporter.tick({"t": WATCHING})
        assert topic.take() == [("replica/me#1", True), ("report/t/me#1", True)]
        for _ in range(10):
            await reporter.tick({"t": WATCHING})
        assert topic.take() == []
        clock.advance(BEAT_SEC)
        await reporter.tick({"t": WATCHING})
        assert topic.take() == [("replica/me#1", True)]

    asyncio.run(main())


@pytest.mark.parametrize("outcome", [Outcome.NO, Outcome.UNKNOWN])
def test_what_was_not_written_is_written_later(outcome: Outcome) -> None:
    topic = Topic()
    reporter = Reporter(appender=topic, clock=ManualClock(), replica="me#1")

    async def main() -> None:
        topic.outcome = outcome
        await reporter.tick({"t": WATCHING})
        topic.outcome = Outcome.YES
        await reporter.tick({"t": WATCHING})
        assert topic.take() == [("replica/me#1", True), ("report/t/me#1", True)]

    asyncio.run(main())


def test_a_trigger_that_is_gone_and_a_process_that_goes_take_their_reports_back() -> None:
    topic = Topic()
    reporter = Reporter(appender=topic, clock=ManualClock(), replica="me#1")

    async def main() -> None:
        await reporter.tick({"a": WATCHING, "b": WATCHING})
        topic.take()
        await reporter.tick({"a": WATCHING})
        assert topic.take() == [("report/b/me#1", False)]
        await reporter.end()
        assert topic.take() == [("report/a/me#1", False), ("replica/me#1", False)]

    asyncio.run(main())


def test_a_report_that_others_buried_is_told_again() -> None:
    told = Told()
    told.note(REPORT, 0.0)
    told.forget(REPORT.key)
    assert told.due([REPORT], 0.1) == [REPORT]


def fold_of(*records: tuple[TriggerRecord, int, float]) -> TriggerFold:
    fold = TriggerFold()
    for offset, (record, log_ms, now_sec) in enumerate(records):
        fold.apply(record.key.encode(), record.encode(), offset=offset, log_ms=log_ms, now_sec=now_sec)
    return fold


def test_a_silent_process_is_forgotten_with_what_it_told_and_never_oneself() -> None:
    mine, theirs = replace(REPORT, replica="me#1"), replace(REPORT, replica="dead#1")
    fold = fold_of(
        (Replica(replica="me#1", at_ms=0), 0, 0.0),
        (Replica(replica="dead#1", at_ms=0), 0, 0.0),
        (Replica(replica="well#1", at_ms=0), 0, 50.0),
        (mine, 0, 0.0),
        (theirs, 0, 0.0),
    )
    assert leftovers(fold, me="me#1", now_sec=FORGET_SEC, now_ms=0) == []
    keys = leftovers(fold, me="me#1", now_sec=FORGET_SEC + 1, now_ms=0)
    assert keys == ["report/t/dead#1", "replica/dead#1"]


def test_a_report_without_any_life_sign_is_left_over() -> None:
    assert leftovers(fold_of((REPORT, 0, 0.0)), me="other#1", now_sec=0.0, now_ms=0) == ["report/t/me#1"]


def test_an_old_request_goes_after_what_names_it_and_a_young_one_stays() -> None:
    request = FireRequest(trigger="t", request="r", by="ann", at_ms=0)
    claim = FireClaim(trigger="t", request="r", replica="me#1")
    fold = fold_of((request, 1_000, 0.0), (claim, 1_001, 0.0))
    assert leftovers(fold, me="me#1", now_sec=0.0, now_ms=1_000 + FIRE_KEPT_MS) == []
    keys = leftovers(fold, me="me#1", now_sec=0.0, now_ms=1_001 + FIRE_KEPT_MS)
    assert keys == ["claim/t/r/me#1", "fire/t/r"]


def test_a_mark_outlives_its_record_by_a_day() -> None:
    mark = RejectedMark(place="0-1", state=DISCARDED, by="ann", at_ms=0, rejected_ms=0)
    kept_ms = (REJECTED.retention_ms or 0) + DAY_MS
    assert leftovers(fold_of((mark, 0, 0.0)), me="me#1", now_sec=0.0, now_ms=kept_ms) == []
    assert leftovers(fold_of((mark, 0, 0.0)), me="me#1", now_sec=0.0, now_ms=kept_ms + 1) == ["rejected/0-1"]
