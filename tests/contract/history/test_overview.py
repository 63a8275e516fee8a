from __future__ import annotations

from collections import Counter

import pytest

from processor.core.ledger import LedgerRecord
from processor.core.run import StatusCode
from processor.recorder.store import Activity, ActivityQuery, HistoryStore, QueuedRuns, percentile_ms
from tests.contract.history.conftest import MakeStore
from tests.history_records import AT, DAY_MS, TODAY_MS, accepted, batch, ended, rid, started

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
TODAY = ActivityQuery(since_ms=TODAY_MS, until_ms=TODAY_MS + DAY_MS, bucket_ms=HOUR_MS)


def test_nothing_happened_in_an_empty_history(store: HistoryStore) -> None:
    assert store.activity(TODAY) == []
    assert store.queued() == []


def test_runs_count_where_they_were_accepted_and_where_they_ended(store: HistoryStore) -> None:
    store.apply(batch(accepted(1), accepted(2), accepted(3), started(1), started(2)), AT)
    store.apply(batch(ended(1, at_ms=TODAY_MS + HOUR_MS), ended(2, StatusCode.TIME_LIMIT, at_ms=TODAY_MS + 5)), AT)
    assert [(each.start_ms, each.function, each.accepted, each.ended) for each in store.activity(TODAY)] == [
        (TODAY_MS, "resize", {"FINISHED": 1, "FAILED": 1, "QUEUED": 1}, {"FAILED": 1}),
        (TODAY_MS + HOUR_MS, "resize", {}, {"FINISHED": 1}),
    ]


def test_a_run_counts_once_however_its_records_come(store: HistoryStore) -> None:
    for record in (started(1, at_ms=TODAY_MS + 9), accepted(1), ended(1), accepted(1), started(1), ended(1)):
        store.apply(batch(record), AT)
    store.apply(batch(accepted(2), started(2), ended(2)), AT)
    store.apply(batch(ended(2, StatusCode.INSTANCE_LOST)), AT)  # void
    (found,) = store.activity(TODAY)
    assert (found.accepted, found.ended) == ({"FINISHED": 2}, {"FINISHED": 2})
    assert sum(found.waits.values()) == 2


@pytest.mark.parametrize("waited_ms", [0, 1, 7, 120, 4_999, 3_600_000])
def test_waits_are_known_to_a_tenth(store: HistoryStore, waited_ms: int) -> None:
    store.apply(batch(accepted(1, at_ms=TODAY_MS), started(1, at_ms=TODAY_MS + waited_ms), ended(1)), AT)
    waits = [each.waits for each in store.activity(TODAY) if each.waits]
    ((wait_ms, runs),) = waits[0].items()
    assert runs == 1
    assert wait_ms == pytest.approx(max(waited_ms, 1), rel=0.12)


def test_percentiles_are_put_together_from_several_buckets(store: HistoryStore) -> None:
    records: list[LedgerRecord] = []
    for number, waited_ms in enumerate([10] * 90 + [1_000] * 9 + [60_000]):
        at_ms = TODAY_MS + number * 10 * MINUTE_MS
        records += [accepted(number, at_ms=at_ms), started(number, at_ms=at_ms + waited_ms)]
    store.apply(batch(*records), AT)
    waits = sum((Counter(each.waits) for each in store.activity(TODAY)), Counter[float]())
    assert percentile_ms(waits, 0.5) == pytest.approx(10, rel=0.12)
    assert percentile_ms(waits, 0.95) == pytest.approx(1_000, rel=0.12)
    assert percentile_ms(waits, 1.0) == pytest.approx(60_000, rel=0.12)
    assert percentile_ms({}, 0.5) is None


def test_buckets_may_be_minutes_and_the_range_is_widened_to_whole_ones(store: HistoryStore) -> None:
    minutes = (0, 4, 5, 9, 10)
    store.apply(batch(*(accepted(n, at_ms=TODAY_MS + n * MINUTE_MS) for n in minutes)), AT)
    query = ActivityQuery(since_ms=TODAY_MS + 3 * MINUTE_MS, until_ms=TODAY_MS + 8 * MINUTE_MS, bucket_ms=5 * MINUTE_MS)
    assert [(each.start_ms, each.accepted) for each in store.activity(query)] == [
        (TODAY_MS, {"QUEUED": 2}),
        (TODAY_MS + 5 * MINUTE_MS, {"QUEUED": 2}),
    ]


def test_activity_can_be_narrowed_to_a_function(store: HistoryStore) -> None:
    store.apply(batch(accepted(1), accepted(2, function="other")), AT)
    query = ActivityQuery(since_ms=TODAY_MS, until_ms=TODAY_MS + 1, bucket_ms=MINUTE_MS, function="other")
    assert store.activity(query) == [
        Activity(start_ms=TODAY_MS, function="other", accepted={"QUEUED": 1}, ended={}, waits={})
    ]


def test_what_is_queued_is_told_by_function_the_oldest_first(store: HistoryStore) -> None:
    store.apply(batch(accepted(5), accepted(7), accepted(3, function="other"), accepted(1), ended(1)), AT)
    assert store.queued() == [QueuedRuns("other", 1, TODAY_MS + 3), QueuedRuns("resize", 2, TODAY_MS + 5)]


def test_two_recorders_count_every_run_once(make: MakeStore) -> None:
    old, new = make(), make()
    old.open_for_writing()
    new.open_for_writing()
    for store in (old, new):
        store.apply(batch(accepted(1), started(1)), AT)
    for store in (new, old):
        store.apply(batch(ended(1)), AT)
    assert [(each.accepted, each.ended) for each in new.activity(TODAY)] == [({"FINISHED": 1}, {"FINISHED": 1})]
    assert new.get_run(rid(1)) == old.get_run(rid(1))
