from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from processor.core.ledger import Accepted, Ended, LedgerRecord, Position, Started, encode
from processor.core.request_id import request_id
from processor.core.run import Delivery, Status, StatusCode
from processor.core.topics import LOGS, RUNS
from processor.recorder.batch import Batch, decode_batch
from processor.recorder.sqlite import SqliteHistoryStore
from processor.recorder.store import BadCursor, HistoryTooNew, HistoryUnavailable, LogLine, RunQuery
from processor.transport.abstract import Record, TopicPartition

DAY_MS = 86_400_000
#: 2026-11-24 00:00:00 UTC
TODAY_MS = 1_795_478_400_000
AT = {TopicPartition("runs", 0): 1}


def rid(number: int) -> str:
    return request_id("resize", "test", str(number))


def delivery(number: int) -> Delivery:
    return Delivery("queue.resize.1", 0, number)


def accepted(number: int, *, function: str = "resize", at_ms: int | None = None) -> Accepted:
    return Accepted(
        request_id=rid(number),
        function=function,
        version="v1",
        trigger="http",
        source="test",
        event_id=str(number),
        subject=None,
        accepted_at_ms=TODAY_MS + number if at_ms is None else at_ms,
        intake=Position(0, 0, number),
    )


def started(number: int) -> Started:
    return Started(
        request_id=rid(number), function="resize", delivery=delivery(number), executor="e#1", started_at_ms=TODAY_MS
    )


def ended(number: int, code: StatusCode = StatusCode.OK, *, at_ms: int = TODAY_MS, result: bytes = b"1") -> Ended:
    return Ended(
        request_id=rid(number),
        function="resize",
        delivery=delivery(number),
        status_code=code,
        result=result,
        ended_at_ms=at_ms,
    )


def lines(number: int, first: int, last: int, *, at_ms: int = TODAY_MS) -> Record:
    told = [[seq, "stdout", None, at_ms, f"line {seq}"] for seq in range(first, last + 1)]
    document = {"request_id": rid(number), "function": "resize", "delivery": str(delivery(number)), "lines": told}
    return Record(LOGS.name, 0, 0, 0, at_ms, rid(number).encode(), orjson.dumps(document), ())


def batch(*records: LedgerRecord | Record) -> Batch:
    return decode_batch(
        each
        if isinstance(each, Record)
        else Record(RUNS.name, 0, 0, 0, TODAY_MS, each.request_id.encode(), encode(each), ())
        for each in records
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteHistoryStore]:
    store = SqliteHistoryStore(tmp_path / "history.db")
    store.open_for_writing()
    yield store
    store.close()


def ids(store: SqliteHistoryStore, query: RunQuery) -> list[str]:
    return [each["request_id"] for each in store.list_runs(query).runs]


def test_a_batch_and_its_offsets_are_written_together(store: SqliteHistoryStore) -> None:
    assert store.offsets() == {}
    store.apply(batch(accepted(1)), {TopicPartition("runs", 3): 42})
    assert store.offsets() == {TopicPartition("runs", 3): 42}
    document = store.get_run(rid(1))
    assert document is not None
    assert document["status"] == "QUEUED"


def test_a_batch_that_fails_leaves_neither_runs_nor_offsets_nor_tables(store: SqliteHistoryStore) -> None:
    broken = {TopicPartition("runs", 0): 2**70}  # no integer of SQLite's: the last statement of the transaction fails
    with pytest.raises(OverflowError):
        store.apply(batch(accepted(1), lines(1, 1, 2)), broken)
    assert store.get_run(rid(1)) is None
    assert store.offsets() == {}
    store.apply(batch(accepted(1), lines(1, 1, 2)), AT)
    assert len(store.get_lines(rid(1)).lines) == 2


def test_applying_a_batch_twice_changes_nothing(store: SqliteHistoryStore) -> None:
    records = (accepted(1), started(1), lines(1, 1, 3), ended(1))
    store.apply(batch(*records), AT)
    before = store.get_run(rid(1)), store.get_lines(rid(1))
    store.apply(batch(*records), AT)
    assert (store.get_run(rid(1)), store.get_lines(rid(1))) == before
    assert store.counters()["void_verdicts"] == 0


def test_void_verdicts_undecodable_and_missed_records_are_counted(store: SqliteHistoryStore) -> None:
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


def test_pages_go_from_the_newest_to_the_oldest_and_meet_every_run_once(store: SqliteHistoryStore) -> None:
    # The same time twice: the row decides.
    store.apply(batch(*(accepted(n, at_ms=TODAY_MS + n // 2) for n in range(25))), AT)
    found: list[str] = []
    cursor = None
    pages = 0
    while True:
        page = store.list_runs(RunQuery(limit=10, cursor=cursor))
        found += [each["request_id"] for each in page.runs]
        cursor = page.cursor
        pages += 1
        if cursor is None:
            break
    assert found == [rid(n) for n in reversed(range(25))]
    assert pages == 3


def test_a_run_that_arrives_between_two_pages_moves_nothing(store: SqliteHistoryStore) -> None:
    store.apply(batch(*(accepted(n) for n in range(4))), AT)
    first = store.list_runs(RunQuery(limit=2))
    store.apply(batch(accepted(99)), AT)
    second = store.list_runs(RunQuery(limit=2, cursor=first.cursor))
    assert [each["request_id"] for each in second.runs] == [rid(1), rid(0)]


def test_lists_can_be_narrowed_by_function_status_and_time(store: SqliteHistoryStore) -> None:
    store.apply(batch(accepted(1), accepted(2), accepted(3, function="other"), ended(1)), AT)
    store.apply(batch(accepted(4), started(4), ended(4, StatusCode.HANDLER_RAISED), started(2)), AT)
    assert ids(store, RunQuery(function="other")) == [rid(3)]
    assert ids(store, RunQuery(status=Status.FINISHED)) == [rid(1)]
    assert ids(store, RunQuery(status=Status.FAILED)) == [rid(4)]
    assert ids(store, RunQuery(status=Status.RUNNING, function="resize")) == [rid(2)]
    assert ids(store, RunQuery(since_ms=TODAY_MS + 3)) == [rid(4), rid(3)]


@pytest.mark.parametrize("query", [RunQuery(status=Status.FAILED), RunQuery(function="a"), RunQuery()])
def test_lists_are_read_from_an_index(store: SqliteHistoryStore, query: RunQuery, tmp_path: Path) -> None:
    from processor.recorder.sqlite import _conditions
    from processor.recorder.statements import load_statements

    conditions, values = _conditions(query)
    statement = "EXPLAIN QUERY PLAN " + load_statements()["list_runs"].format(conditions=conditions)
    reader = sqlite3.connect(tmp_path / "history.db")
    plan = " ".join(row[3] for row in reader.execute(statement, (*values, 10)))
    reader.close()
    assert "USING INDEX" in plan
    assert "TEMP B-TREE" not in plan


def test_the_position_counts_the_queued_runs_of_the_function_that_were_accepted_before(
    store: SqliteHistoryStore,
) -> None:
    store.apply(batch(accepted(3), accepted(1), accepted(2), accepted(4), accepted(0, function="other")), AT)
    assert [store.position(rid(number)) for number in (0, 1, 2, 3, 4)] == [1, 1, 2, 3, 4]
    store.apply(batch(started(1), ended(2)), AT)
    assert [store.position(rid(number)) for number in (1, 2, 3, 4)] == [None, None, 1, 2]
    assert store.position(rid(99)) is None


def test_a_position_far_back_is_not_counted_out(store: SqliteHistoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processor.recorder.sqlite.MAX_POSITION", 2)
    store.apply(batch(*(accepted(number, at_ms=TODAY_MS) for number in range(4))), AT)
    assert [store.position(rid(number)) for number in range(4)] == [1, 2, None, None]


def test_lists_leave_the_result_out_and_the_run_itself_has_it(store: SqliteHistoryStore) -> None:
    big = orjson.dumps("x" * 20_000)
    store.apply(batch(accepted(1), ended(1, result=big)), AT)
    (listed,) = store.list_runs(RunQuery()).runs
    document = store.get_run(rid(1))
    assert "result" not in listed
    assert listed["status_code"] == 200
    assert document is not None
    assert document["result"] == "x" * 20_000


def test_a_foreign_cursor_is_refused(store: SqliteHistoryStore) -> None:
    with pytest.raises(BadCursor, match=r"^'nonsense' is not a cursor of this list$"):
        store.list_runs(RunQuery(cursor="nonsense"))


def test_lines_come_in_order_of_seq_from_every_day_and_after_any_of_them(store: SqliteHistoryStore) -> None:
    tomorrow = TODAY_MS + DAY_MS
    store.apply(batch(accepted(1), lines(1, 4, 6), lines(1, 1, 3)), AT)
    store.apply(batch(lines(1, 7, 9, at_ms=tomorrow)), AT)
    page = store.get_lines(rid(1))
    assert page.delivery == str(delivery(1))
    assert [each.seq for each in page.lines] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert page.lines[0] == LogLine(1, "stdout", None, TODAY_MS, "line 1")
    assert [each.seq for each in store.get_lines(rid(1), after_seq=5, limit=3).lines] == [6, 7, 8]
    assert store.get_lines(rid(1), after_seq=9).lines == []


def test_a_repeated_piece_of_the_log_is_shown_once(store: SqliteHistoryStore) -> None:
    store.apply(batch(lines(1, 1, 3)), AT)
    store.apply(batch(lines(1, 1, 3), lines(1, 2, 5)), AT)
    assert [each.seq for each in store.get_lines(rid(1)).lines] == [1, 2, 3, 4, 5]


def test_lines_of_a_run_nobody_has_announced_are_kept_for_it(store: SqliteHistoryStore) -> None:
    store.apply(batch(lines(1, 1, 2)), AT)
    document = store.get_run(rid(1))
    assert document is not None
    assert (document["status"], document["accepted_at"]) == ("RUNNING", None)
    store.apply(batch(accepted(1)), AT)
    assert len(store.get_lines(rid(1)).lines) == 2


def test_days_of_lines_are_dropped_whole_and_runs_after_their_end(tmp_path: Path) -> None:
    store = SqliteHistoryStore(tmp_path / "history.db", log_days=3, run_days=5)
    store.open_for_writing()
    old_ms, recent_ms = TODAY_MS - 6 * DAY_MS, TODAY_MS - 3 * DAY_MS
    store.apply(batch(accepted(1, at_ms=old_ms), lines(1, 1, 2, at_ms=old_ms), ended(1, at_ms=old_ms)), AT)
    store.apply(batch(accepted(2, at_ms=old_ms)), AT)  # it still waits in the queue
    store.apply(batch(accepted(3, at_ms=recent_ms), lines(3, 1, 2, at_ms=recent_ms), ended(3, at_ms=recent_ms)), AT)
    assert store.expire(TODAY_MS + DAY_MS // 2) is False
    assert ids(store, RunQuery()) == [rid(3), rid(2)]
    assert len(store.get_lines(rid(3)).lines) == 2
    reader = sqlite3.connect(tmp_path / "history.db")
    tables = {name for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE name GLOB 'logs_*[0-9]'")}
    reader.close()
    assert tables == {"logs_20261121"}
    store.close()


def test_a_new_run_never_gets_the_lines_of_a_deleted_one(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    store = SqliteHistoryStore(path, log_days=7, run_days=3)
    store.open_for_writing()
    old_ms = TODAY_MS - 4 * DAY_MS
    store.apply(batch(accepted(1, at_ms=old_ms), lines(1, 1, 2, at_ms=old_ms), ended(1, at_ms=old_ms)), AT)
    store.expire(TODAY_MS)
    assert ids(store, RunQuery()) == []
    store.close()
    again = SqliteHistoryStore(path)
    again.open_for_writing()
    records = (accepted(1), started(1))  # even when it is the same event
    again.apply(batch(*records), AT)
    assert again.get_lines(rid(1)).lines == []
    again.close()


def test_history_shorter_than_three_days_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^history is kept for at least 3 days$"):
        SqliteHistoryStore(tmp_path / "history.db", log_days=2)


def test_another_process_can_read_what_one_has_written(store: SqliteHistoryStore, tmp_path: Path) -> None:
    store.apply(batch(accepted(1), lines(1, 1, 1)), AT)
    reader = SqliteHistoryStore(tmp_path / "history.db")
    assert ids(reader, RunQuery()) == [rid(1)]
    reader.close()


def test_a_history_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    reader = SqliteHistoryStore(tmp_path / "nowhere.db")
    with pytest.raises(
        HistoryUnavailable, match=r"^the history database could not be read: unable to open database file$"
    ):
        reader.get_run(rid(1))
    with pytest.raises(HistoryUnavailable, match=r"^the history is not open for writing$"):
        reader.apply(batch(accepted(1)), AT)


def test_a_history_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    store = SqliteHistoryStore(path)
    with pytest.raises(HistoryTooNew, match=r"history\.db has schema 99; this version of Headrace knows 3$"):
        store.open_for_writing()
    store.close()


def test_a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room(store: SqliteHistoryStore) -> None:
    store.apply(batch(accepted(1)), AT)
    writer = store._connection()
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages + 1}")
    much = batch(*(accepted(n) for n in range(2, 2_000)))
    with pytest.raises(
        HistoryUnavailable, match=r"^the history database could not be written: database or disk is full$"
    ):
        store.apply(much, {TopicPartition("runs", 0): 9})
    assert store.offsets() == AT
    writer.execute("PRAGMA max_page_count = 1000000")
    store.apply(much, {TopicPartition("runs", 0): 9})
    assert len(ids(store, RunQuery(limit=1_000))) == 1_000
    assert store.offsets() == {TopicPartition("runs", 0): 9}


def test_many_readers_and_a_writer_never_meet_a_locked_database(store: SqliteHistoryStore) -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                store.list_runs(RunQuery())
                store.get_lines(rid(1))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(60):
        store.apply(batch(accepted(number), lines(number, 1, 3, at_ms=TODAY_MS + number * DAY_MS // 20)), AT)
    store.expire(TODAY_MS + 40 * DAY_MS)
    done.set()
    for thread in threads:
        thread.join(10)
    assert failures == []


class ExpiresBefore(dict[str, str]):
    """Statements of a store whose recorder expires a day just before the lines are read."""

    def __init__(self, store: SqliteHistoryStore) -> None:
        super().__init__(store._sql)
        self._store = store

    def __getitem__(self, name: str) -> str:
        if name == "get_lines":
            self._store.expire(TODAY_MS + 40 * DAY_MS)
        return super().__getitem__(name)


def test_a_day_that_is_dropped_between_two_statements_of_a_reader_is_still_read(store: SqliteHistoryStore) -> None:
    store.apply(batch(accepted(1), lines(1, 1, 3)), AT)
    store._sql = ExpiresBefore(store)
    assert [each.seq for each in store.get_lines(rid(1)).lines] == [1, 2, 3]
    assert store.get_lines(rid(1)).lines == []


KILLED = """
import sys
from pathlib import Path
from tests.unit.test_history_sqlite import AT, accepted, batch, lines
from processor.recorder.sqlite import SqliteHistoryStore
from processor.transport.abstract import TopicPartition
store = SqliteHistoryStore(Path(sys.argv[1]))
store.open_for_writing()
number = store.offsets().get(TopicPartition("runs", 0), 0)
while True:
    store.apply(batch(accepted(number), lines(number, 1, 2)), {TopicPartition("runs", 0): number + 1})
    number += 1
    print(number, flush=True)
"""


def test_a_killed_recorder_has_written_exactly_what_its_offsets_say(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(50):
                process.stdout.readline()
            process.kill()
    store = SqliteHistoryStore(path)
    store.open_for_writing()
    written = store.offsets()[TopicPartition("runs", 0)]
    assert written >= 150
    assert set(ids(store, RunQuery(limit=1_000))) == {rid(n) for n in range(written)}
    assert all(len(store.get_lines(rid(n)).lines) == 2 for n in range(written))
    store.close()
