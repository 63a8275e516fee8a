from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import orjson
import pytest

from processor.core.progress import Progress
from processor.core.run import RunError, StatusCode
from processor.core.topics import LOGS, RUNS
from processor.recorder.store import HistoryStore, HistoryTooNew, HistoryUnavailable, RunQuery
from processor.transport.abstract import Record, TopicPartition
from tests.contract.history.conftest import MakeStore
from tests.history_records import (
    AT,
    TODAY_MS,
    accepted,
    batch,
    delivery,
    ended,
    ids,
    lines,
    rid,
    started,
    told,
)


def test_a_batch_and_its_offsets_are_written_together(store: HistoryStore) -> None:
    assert store.offsets() == {}
    store.apply(batch(accepted(1)), {TopicPartition("runs", 3): 42})
    assert store.offsets() == store.recorded() == {TopicPartition("runs", 3): 42}
    document = store.get_run(rid(1))
    assert document is not None
    assert document["status"] == "QUEUED"


def test_a_batch_that_fails_leaves_neither_runs_nor_offsets_nor_tables(store: HistoryStore) -> None:
    broken = {TopicPartition("runs", 0): 2**70}  # no database's integer: the last statement of the transaction fails
    with pytest.raises((OverflowError, HistoryUnavailable)):
        store.apply(batch(accepted(1), lines(1, 1, 2)), broken)
    assert store.get_run(rid(1)) is None
    assert store.offsets() == {}
    store.apply(batch(accepted(1), lines(1, 1, 2)), AT)
    assert len(store.get_lines(rid(1)).lines) == 2


def test_applying_a_batch_twice_changes_nothing(store: HistoryStore) -> None:
    records = (accepted(1), started(1), lines(1, 1, 3), ended(1))
    store.apply(batch(*records), AT)
    before = store.get_run(rid(1)), store.get_lines(rid(1))
    store.apply(batch(*records), AT)
    assert (store.get_run(rid(1)), store.get_lines(rid(1))) == before
    assert store.counters()["void_verdicts"] == 0
    assert store.run_counts() == {("resize", "FINISHED"): 1}


def test_a_run_is_the_same_however_its_records_are_cut_into_batches(store: HistoryStore) -> None:
    whole = (accepted(1), started(1), lines(1, 1, 3), ended(1, result=b'{"a":1}'))
    store.apply(batch(*whole), AT)
    for record in (accepted(2), started(2), lines(2, 1, 3), ended(2, result=b'{"a":1}')):
        store.apply(batch(record), AT)
    one, other = store.get_run(rid(1)), store.get_run(rid(2))
    assert one is not None
    assert other is not None
    own = {"request_id", "accepted_at", "subject"}
    assert {name: one[name] for name in one.keys() - own} == {name: other[name] for name in other.keys() - own}
    assert one["result"] == {"a": 1}
    assert len(store.get_lines(rid(2)).lines) == 3


def test_a_run_moves_to_the_day_of_its_acceptance_when_that_becomes_known(store: HistoryStore) -> None:
    yesterday_ms = TODAY_MS - 1
    store.apply(batch(started(1), lines(1, 1, 1)), AT)
    store.apply(batch(accepted(1, at_ms=yesterday_ms)), AT)
    assert ids(store, RunQuery(until_ms=TODAY_MS)) == [rid(1)]
    assert store.run_counts() == {("resize", "RUNNING"): 1}


def test_void_verdicts_undecodable_and_missed_records_are_counted(store: HistoryStore) -> None:
    store.apply(batch(accepted(1), ended(1)), AT)
    odd = batch(
        ended(1, StatusCode.INSTANCE_LOST),
        Record(RUNS.name, 0, 0, 0, 0, None, b"{", ()),
        Record(LOGS.name, 0, 0, 0, 0, None, b'{"lines": []}', ()),
        Record(LOGS.name, 0, 0, 0, 0, None, None, ()),
    )
    odd.missed = 5
    store.apply(odd, AT)
    assert store.counters() == {"void_verdicts": 1, "undecodable": 3, "missed": 5}


@pytest.mark.parametrize(
    "change",
    [
        {"delivery": "queue\0/0/1"},
        {"delivery": "nowhere"},
        {"request_id": "a\0b"},
        {"function": None},
        {"lines": [[2**63, "stdout", None, 0, ""]]},
        {"lines": [[1, "stdout", None, 10**15, ""]]},
        {"lines": [[1, "stdout", 4, 0, ""]]},
    ],
)
def test_lines_that_no_database_could_store_are_counted_and_stop_nothing(
    store: HistoryStore, change: dict[str, Any]
) -> None:
    document = orjson.loads(told(1, [[1, "stdout", None, 0, ""]]).value or b"") | change
    store.apply(batch(Record(LOGS.name, 0, 0, 0, TODAY_MS, None, orjson.dumps(document), ()), accepted(2)), AT)
    assert store.counters()["undecodable"] == 1
    assert ids(store, RunQuery()) == [rid(2)]


@pytest.mark.parametrize(
    "change",
    [{"accepted_at_ms": 2**63}, {"accepted_at_ms": 10**15}, {"accepted_at_ms": "now"}, {"function": 5}],
)
def test_ledger_records_that_no_database_could_store_are_counted_and_stop_nothing(
    store: HistoryStore, change: dict[str, Any]
) -> None:
    from processor.core.ledger import encode

    document = orjson.loads(encode(accepted(1))) | change
    store.apply(batch(Record(RUNS.name, 0, 0, 0, TODAY_MS, None, orjson.dumps(document), ()), accepted(2)), AT)
    assert store.counters()["undecodable"] == 1
    assert ids(store, RunQuery()) == [rid(2)]


def test_what_an_event_says_of_itself_may_be_anything(store: HistoryStore) -> None:
    odd, long = "a\0b" * 2_000, "a%b" * 2_000
    error = RunError(type="X\0", message="m\0" * 5_000)
    store.apply(
        batch(
            accepted(1, subject=odd, source=odd),
            accepted(3, trigger="storage", source=long, subject=long),
            accepted(2, function=odd),
            told(1, [[1, "stdout", None, TODAY_MS, "nul \0 in a line"]]),
            ended(1, StatusCode.HANDLER_RAISED, error=error, result=b'"\\u0000"'),
        ),
        AT,
    )
    document = store.get_run(rid(1))
    assert document is not None
    assert (document["subject"], document["result"]) == (odd, "\0")
    assert store.get_lines(rid(1)).lines[0].text == "nul \0 in a line"
    assert store.object_events("resize", long, [long, "other"]) == {long: ["3"]}
    assert ids(store, RunQuery(function="\0", text="\0")) == []


def test_lines_of_a_run_nobody_has_announced_are_kept_for_it(store: HistoryStore) -> None:
    store.apply(batch(lines(1, 1, 2)), AT)
    document = store.get_run(rid(1))
    assert document is not None
    assert (document["status"], document["accepted_at"]) == ("RUNNING", None)
    store.apply(batch(accepted(1)), AT)
    assert len(store.get_lines(rid(1)).lines) == 2


def test_a_second_delivery_is_shown_with_its_own_lines(store: HistoryStore) -> None:
    store.apply(batch(accepted(1), started(1), lines(1, 1, 2), ended(1, StatusCode.HANDLER_RAISED)), AT)
    again = orjson.loads(lines(1, 1, 1).value or b"") | {"delivery": str(delivery(9))}
    store.apply(batch(Record(LOGS.name, 0, 0, 0, TODAY_MS, None, orjson.dumps(again), ())), AT)
    document = store.get_run(rid(1))
    assert document is not None
    assert (document["status"], document["deliveries"]) == ("RUNNING", 2)
    assert len(store.get_lines(rid(1)).lines) == 1
    assert len(store.get_lines(rid(1), delivery=str(delivery(1))).lines) == 2


def test_neither_of_two_recorders_puts_a_run_in_the_place_of_the_others(make: MakeStore) -> None:
    old, new = make(), make()
    old.open_for_writing()
    new.open_for_writing()
    for number in range(6):
        (old, new)[number % 2].apply(batch(accepted(number), started(number), ended(number)), {})
    # Both read the same topic: what the one has written already, the other meets again.
    new.apply(batch(*(accepted(number) for number in range(6))), {})
    assert old.run_counts() == {("resize", "FINISHED"): 6}


def test_two_recorders_that_write_at_once_lose_nothing(make: MakeStore) -> None:
    stores = [make(), make()]
    for store in stores:
        store.open_for_writing()

    def write(store: HistoryStore) -> None:
        for number in range(20):
            store.apply(batch(accepted(number), lines(number, 1, 2), ended(number)), {})

    _in_threads(write, stores)
    assert stores[0].run_counts() == {("resize", "FINISHED"): 20}
    assert all(len(stores[0].get_lines(rid(number)).lines) == 2 for number in range(20))


def test_recorders_that_start_at_once_make_the_tables_once(make: MakeStore) -> None:
    stores = [make() for _ in range(4)]
    assert stores[0].schema_version() == 0
    _in_threads(lambda store: store.open_for_writing(), stores)
    assert stores[0].schema_version() == stores[0].known_version
    stores[3].apply(batch(accepted(1)), AT)
    assert stores[0].offsets() == AT


def _in_threads(work: Any, stores: list[HistoryStore]) -> None:
    """Each store belongs to its thread. What one of them raises, is raised."""
    failures: list[BaseException] = []

    def guarded(store: HistoryStore) -> None:
        try:
            work(store)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []


def test_what_is_not_open_for_writing_says_so(make: MakeStore) -> None:
    with pytest.raises(HistoryUnavailable, match=r"^the history is not open for writing$"):
        make().apply(batch(accepted(1)), AT)


def test_a_history_of_a_newer_version_is_left_alone(make: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    new = make()
    new.open_for_writing()
    known = new.known_version
    kind = type(new).__module__
    monkeypatch.setattr(f"{kind}.load_migrations", lambda dialect: _all_migrations(dialect)[:-1])
    old = make()
    told = rf"has schema {known}; this version of Headrace knows {known - 1}$"
    with pytest.raises(HistoryTooNew, match=told) as caught:
        old.open_for_writing()
    assert str(caught.value).startswith(old.place)
    assert (caught.value.version, caught.value.known) == (known, known - 1)


def _all_migrations(dialect: Any) -> Any:
    from processor.recorder.statements import load_migrations

    return load_migrations(dialect)


def test_many_readers_and_a_writer_never_wait_for_each_other(make: MakeStore, store: HistoryStore) -> None:
    failures: list[BaseException] = []
    done = threading.Event()
    reader = make()

    def read() -> None:
        try:
            while not done.is_set():
                reader.list_runs(RunQuery())
                reader.get_lines(rid(1))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(30):
        at_ms = TODAY_MS + number * 4_320_000
        store.apply(batch(accepted(number), lines(number, 1, 3, at_ms=at_ms)), AT)
    store.expire(TODAY_MS + 40 * 86_400_000)
    done.set()
    for thread in threads:
        thread.join(10)
    assert failures == []


def said(number: int, fraction: float, *, place: int | None = None, at_ms: int = TODAY_MS) -> Record:
    where = str(delivery(number if place is None else place))
    progress = Progress(
        request_id=rid(number), function="resize", delivery=where, fraction=fraction, message="frame\0 é", at_ms=at_ms
    )
    return Record(LOGS.name, 0, 0, 0, at_ms, rid(number).encode(), progress.encode(), ())


def progress_of(store: HistoryStore, number: int) -> Any:
    run = store.get_run(rid(number))
    assert run is not None
    return run["progress"]


def test_the_last_progress_of_a_run_is_kept_and_is_no_line(store: HistoryStore) -> None:
    store.apply(batch(accepted(1), started(1), said(1, 0.1), lines(1, 1, 2), said(1, 0.4)), AT)
    shown = {"fraction": 0.4, "message": "frame\0 é", "at": "2026-11-24T00:00:00.000Z"}
    assert progress_of(store, 1) == shown
    assert [each.seq for each in store.get_lines(rid(1)).lines] == [1, 2]
    store.apply(batch(lines(1, 3, 3), ended(1)), AT)
    assert progress_of(store, 1) == shown
    assert store.list_runs(RunQuery()).runs[0]["progress"] == shown
    store.apply(batch(said(1, 0.9)), AT)  # the topics are read side by side
    assert progress_of(store, 1)["fraction"] == 0.9


def test_a_new_delivery_has_made_no_progress_and_an_older_one_tells_none(store: HistoryStore) -> None:
    store.apply(batch(accepted(1), said(1, 0.5, place=1)), AT)
    store.apply(batch(said(1, 0.1, place=2)), AT)
    assert progress_of(store, 1)["fraction"] == 0.1
    store.apply(batch(said(1, 0.6, place=1)), AT)
    assert progress_of(store, 1)["fraction"] == 0.1
    store.apply(batch(replace(started(1), delivery=delivery(3))), AT)
    assert progress_of(store, 1) is None


def test_progress_of_a_run_that_nobody_has_heard_of_shows_it_running(store: HistoryStore) -> None:
    store.apply(batch(said(1, 0.5)), AT)
    run = store.get_run(rid(1))
    assert run is not None
    assert (run["status"], run["progress"]["fraction"]) == ("RUNNING", 0.5)


def test_progress_that_is_none_is_counted_and_skipped(store: HistoryStore) -> None:
    spoilt = said(1, 0.5).value or b""
    bad = [spoilt[:-1], spoilt.replace(b"0.5", b"5"), spoilt.replace(b"/0/", b"/x/")]
    store.apply(batch(accepted(1), *(Record(LOGS.name, 0, 0, 0, 0, None, each, ()) for each in bad)), AT)
    assert progress_of(store, 1) is None
    assert store.counters()["undecodable"] == 3
