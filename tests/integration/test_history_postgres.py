"""A history in PostgreSQL whose server goes away, hangs, or has a full disk."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
import pytest

from deploy.kafka.errors import Unavailable
from processor.ops.local_postgres import LocalPostgres, NoPostgres
from processor.recorder import postgres as postgres_module
from processor.recorder import postgres_connections, service
from processor.recorder.batch import Batch
from processor.recorder.postgres import PostgresHistoryStore
from processor.recorder.store import HistoryAddressInvalid, HistoryStore, HistoryUnavailable, RunQuery
from processor.transport.abstract import TopicPartition
from tests.disk import SmallDisk, small_disk
from tests.history_records import AT, TODAY_MS, accepted, batch, ended, ids, lines, rid
from tests.memory_log import LIMIT_SEC, MemoryLog, Recording
from tests.postgres import unavailable


@pytest.fixture
def server() -> Iterator[LocalPostgres]:
    """Of this test alone: it may be stopped."""
    try:
        server = LocalPostgres()
    except NoPostgres as why:
        unavailable(Unavailable(f"{why} {why.remedy}"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def reader(server: LocalPostgres) -> Iterator[HistoryStore]:
    store = PostgresHistoryStore(server.url)
    yield store
    store.close()


class Told(PostgresHistoryStore):
    """Tells the test what has become of each attempt to write."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._told = threading.Condition()
        self.applied = 0
        self.failed = 0

    def open_for_writing(self) -> None:
        try:
            super().open_for_writing()
        except HistoryUnavailable:
            self._tell(failed=1)
            raise

    def apply(self, batch: Batch, offsets: Mapping[TopicPartition, int]) -> None:
        try:
            super().apply(batch, offsets)
        except HistoryUnavailable:
            self._tell(failed=1)
            raise
        self._tell(applied=len(batch.ledger))

    def _tell(self, *, applied: int = 0, failed: int = 0) -> None:
        with self._told:
            self.applied += applied
            self.failed += failed
            self._told.notify_all()

    def recorded_to(self) -> int:
        return sum(self.recorded().values())

    def wait_for(self, condition: Callable[[], Any]) -> None:
        with self._told:
            assert self._told.wait_for(condition, LIMIT_SEC)


@pytest.fixture(autouse=True)
def _short_pause_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.RecorderService, "back_off_sec", 0.05)


def test_a_server_that_is_away_is_waited_for_and_readers_are_told(server: LocalPostgres, reader: HistoryStore) -> None:
    log, store = MemoryLog(), Told(server.url)
    log.append(*(accepted(n) for n in range(5)))
    with Recording(log, store):
        store.wait_for(lambda: store.applied == 5)
        assert len(ids(reader, RunQuery())) == 5
        server.stop()
        log.append(*(accepted(n) for n in range(5, 9)))
        store.wait_for(lambda: store.failed >= 2)
        with pytest.raises(HistoryUnavailable, match=r"^the history database could not be read: "):
            reader.get_run(rid(1))
        server.start()
        store.wait_for(lambda: store.applied == 9)
        assert len(ids(reader, RunQuery())) == 9
    store.close()


def test_a_server_that_crashed_has_all_that_was_written_with_its_offsets(server: LocalPostgres) -> None:
    log, store = MemoryLog(), Told(server.url)
    log.append(*(accepted(n) for n in range(50)))
    with Recording(log, store):
        store.wait_for(lambda: store.applied == 50)
        server.stop(signal.SIGQUIT)
        server.start()
        log.append(*(ended(n) for n in range(50)))
        store.wait_for(lambda: store.recorded_to() == 100)
        assert store.run_counts() == {("resize", "FINISHED"): 50}
    store.close()


def test_a_server_that_hangs_is_given_up_in_time(
    server: LocalPostgres, reader: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "READ_LIMIT_SEC", 0.3)
    monkeypatch.setattr(postgres_connections, "_PATIENCE_SEC", 0.2)
    writer = PostgresHistoryStore(server.url)
    writer.open_for_writing()
    writer.apply(batch(accepted(1)), AT)
    assert reader.get_run(rid(1)) is not None
    backends = _backends(server)
    for pid in backends:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(HistoryUnavailable, match=r"could not be read: no answer within 0\.5 s$"):
            reader.get_run(rid(1))
    finally:
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
    assert reader.get_run(rid(1)) is not None
    writer.close()


def _backends(server: LocalPostgres) -> list[int]:
    with psycopg.connect(server.url) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'headrace%' AND pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in rows]


def test_a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room(server: LocalPostgres) -> None:
    """The days of the history are on a small disk; what the server itself needs is elsewhere."""
    many = 25_000
    with contextlib.ExitStack() as stack:
        # Not below a folder of pytest's: those are closed to the server's user.
        disk = stack.enter_context(small_disk(server.folder / "disk", mib=24))
        stack.callback(server.stop)
        log, store = MemoryLog(), Told(_on_disk(server, disk))
        stack.callback(store.close)
        store.open_for_writing()
        log.append(*(accepted(n, subject="x" * 200) for n in range(many)))
        with Recording(log, store):
            store.wait_for(lambda: store.failed >= 2)
            assert 0 < store.recorded_to() < many
            disk.resize(200)
            store.wait_for(lambda: store.recorded_to() == many)
        assert store.run_counts() == {("resize", "QUEUED"): many}


def _on_disk(server: LocalPostgres, disk: SmallDisk) -> str:
    folder = disk.path / "space"
    folder.mkdir()
    owner = server.folder.stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'".encode())
    return f"{server.url}&options=-cdefault_tablespace%3Dsmall"


def test_days_that_somebody_reads_are_dropped_another_time(
    postgres: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgres_module, "_DROP_WAIT_MS", 100)
    store = PostgresHistoryStore(postgres)
    store.open_for_writing()
    old_ms = TODAY_MS - 40 * 86_400_000
    store.apply(batch(accepted(1, at_ms=old_ms), ended(1, at_ms=old_ms), lines(1, 1, 2, at_ms=old_ms)), AT)
    with psycopg.connect(postgres) as connection:
        connection.execute("SELECT count(*) FROM runs")
        assert store.expire(TODAY_MS) is False
        assert "old days stay for now: somebody reads them" in caplog.text
        assert ids(store, RunQuery()) == [rid(1)]
    store.apply(batch(accepted(2)), AT)
    store.expire(TODAY_MS)
    assert ids(store, RunQuery()) == [rid(2)]
    store.close()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://me:hush@db.example:5433/h", "postgresql://me@db.example:5433/h"),
        ("postgresql://db/h?password=hush&sslmode=require", "postgresql://db/h"),
        ("postgresql:///h?host=/run/postgresql", "postgresql:///run/postgresql/h"),
    ],
)
def test_the_place_of_a_history_is_told_without_its_password(url: str, place: str) -> None:
    store = PostgresHistoryStore(url)
    assert store.place == place
    store.close()


@pytest.mark.parametrize("url", ["postgresql://me:hush@h:x/y?z=1", "postgresql://me:hush@/y?hush=1", "hush"])
def test_an_address_that_is_not_understood_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(HistoryAddressInvalid) as caught:
        PostgresHistoryStore(url)
    assert "hush" not in f"{caught.value} {caught.value.remedy} {caught.value.__cause__}"


def test_a_history_that_no_recorder_has_opened_yet_is_unavailable(postgres: str) -> None:
    store = PostgresHistoryStore(postgres)
    with pytest.raises(HistoryUnavailable, match=r'could not be read: relation "runs" does not exist'):
        store.list_runs(RunQuery())
    store.close()
