from __future__ import annotations

import pytest

from processor.core.run import StatusCode
from processor.recorder.store import ActivityQuery, HistoryStore, LineQuery, RunQuery
from tests.contract.history.conftest import MakeStore
from tests.history_records import AT, DAY_MS, TODAY_MS, accepted, batch, ended, ids, lines, rid, started

NOON_MS = TODAY_MS + DAY_MS // 2


def opened(make: MakeStore, *, log_days: int, run_days: int) -> HistoryStore:
    store = make(log_days=log_days, run_days=run_days)
    store.open_for_writing()
    return store


def expire(store: HistoryStore, now_ms: int = NOON_MS) -> None:
    while store.expire(now_ms):
        pass


def test_days_of_lines_are_dropped_whole_and_runs_after_their_end(make: MakeStore) -> None:
    store = opened(make, log_days=3, run_days=5)
    old_ms, recent_ms = TODAY_MS - 6 * DAY_MS, TODAY_MS - 3 * DAY_MS
    store.apply(batch(accepted(1, at_ms=old_ms), lines(1, 1, 2, at_ms=old_ms), ended(1, at_ms=old_ms)), AT)
    store.apply(batch(accepted(2, at_ms=old_ms), lines(2, 1, 2, at_ms=old_ms)), AT)  # it still runs
    store.apply(batch(accepted(3, at_ms=recent_ms), lines(3, 1, 2, at_ms=recent_ms), ended(3, at_ms=recent_ms)), AT)
    expire(store)
    assert ids(store, RunQuery()) == [rid(3), rid(2)]
    assert len(store.get_lines(rid(3)).lines) == 2
    assert store.get_lines(rid(2)).lines == []
    assert {found.request_id for found in store.search_lines(LineQuery()).lines} == {rid(3)}


def test_a_run_that_outlived_its_day_goes_on_and_is_dropped_after_its_end(make: MakeStore) -> None:
    store = opened(make, log_days=3, run_days=3)
    store.apply(batch(accepted(1, at_ms=TODAY_MS - 9 * DAY_MS), started(1)), AT)
    expire(store)
    expire(store, NOON_MS + DAY_MS)
    store.apply(batch(ended(1, StatusCode.CANCELLED, at_ms=NOON_MS + DAY_MS)), AT)
    assert store.run_counts() == {("resize", "ABORTED"): 1}
    expire(store, NOON_MS + 4 * DAY_MS)
    assert store.run_counts() == {("resize", "ABORTED"): 1}
    expire(store, NOON_MS + 5 * DAY_MS)
    assert store.run_counts() == {}


def test_what_comes_in_late_of_a_day_that_was_dropped_is_kept_until_the_next_time(make: MakeStore) -> None:
    store = opened(make, log_days=3, run_days=3)
    old_ms = TODAY_MS - 9 * DAY_MS
    expire(store)
    store.apply(batch(accepted(1, at_ms=old_ms), lines(1, 1, 2, at_ms=old_ms), ended(1, at_ms=old_ms)), AT)
    assert (ids(store, RunQuery()), len(store.get_lines(rid(1)).lines)) == ([rid(1)], 2)
    expire(store)
    assert (ids(store, RunQuery()), store.get_lines(rid(1)).lines) == ([], [])


def test_what_was_counted_goes_with_the_runs(make: MakeStore) -> None:
    store = opened(make, log_days=3, run_days=3)
    for number, days in ((1, 4), (2, 3)):
        store.apply(batch(accepted(number, at_ms=TODAY_MS - days * DAY_MS)), AT)
    expire(store)
    for bucket_ms in (60_000, 3_600_000):
        query = ActivityQuery(since_ms=0, until_ms=TODAY_MS, bucket_ms=bucket_ms)
        assert [each.start_ms for each in store.activity(query)] == [TODAY_MS - 3 * DAY_MS]


def test_a_new_run_never_gets_the_lines_of_a_deleted_one(make: MakeStore) -> None:
    store = opened(make, log_days=7, run_days=3)
    old_ms = TODAY_MS - 4 * DAY_MS
    store.apply(batch(accepted(1, at_ms=old_ms), lines(1, 1, 2, at_ms=old_ms), ended(1, at_ms=old_ms)), AT)
    expire(store)
    assert ids(store, RunQuery()) == []
    again = opened(make, log_days=7, run_days=3)
    again.apply(batch(accepted(1), started(1)), AT)  # even when it is the same event
    assert again.get_lines(rid(1)).lines == []


def test_history_shorter_than_three_days_is_refused(make: MakeStore) -> None:
    with pytest.raises(ValueError, match=r"^history is kept for at least 3 days$"):
        make(log_days=2)
