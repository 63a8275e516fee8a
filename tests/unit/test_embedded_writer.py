from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.core.clock import SystemClock
from processor.core.topics import Keep, Topic
from processor.transport.abstract import AppendFailed, BufferFull, Outcome, TopicPartition, TransportUnavailable
from processor.transport.embedded import EmbeddedTransport
from processor.transport.embedded.database import Database
from processor.transport.embedded.transaction import Transaction
from processor.transport.embedded.writer import Writer

_CALL_SEC = 10.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    started = Writer(database.writing, lambda transaction: None, SystemClock())
    started.start()
    yield started
    started.stop()


def _insert(identity: int, value: bytes) -> tuple[str, tuple[object, ...]]:
    return "INSERT INTO record VALUES (?, 0, NULL, NULL, ?)", (identity, value)


def _count(database: Database) -> int:
    with database.reading() as connection:
        (count,) = connection.execute("SELECT count(*) FROM record").fetchone()
    assert isinstance(count, int)
    return count


def test_a_limited_file_refuses_then_takes_again(database: Database, writer: Writer) -> None:
    (pages,) = database.writing.execute("PRAGMA page_count").fetchone()
    writer.run(lambda transaction: _limit(transaction, pages + 10), _CALL_SEC)
    with pytest.raises(TransportUnavailable, match="full"):
        writer.run(lambda transaction: transaction.execute(*_insert(1, bytes(100_000))), _CALL_SEC)
    assert _count(database) == 0
    writer.run(lambda transaction: _limit(transaction, 1_000_000), _CALL_SEC)
    writer.run(lambda transaction: transaction.execute(*_insert(1, bytes(100_000))), _CALL_SEC)
    assert _count(database) == 1


def _limit(transaction: Transaction, pages: int) -> None:
    transaction.begin().execute(f"PRAGMA max_page_count = {pages}")


def test_all_of_a_transaction_or_nothing(database: Database, writer: Writer) -> None:
    def work(transaction: Transaction) -> None:
        transaction.execute(*_insert(1, b""))
        transaction.execute(*_insert(1, b"the same id again"))

    with pytest.raises(TransportUnavailable, match="UNIQUE"):
        writer.run(work, _CALL_SEC)
    assert _count(database) == 0


def test_an_error_in_somebodys_work_does_not_end_the_thread(database: Database, writer: Writer) -> None:
    def work(transaction: Transaction) -> None:
        transaction.begin()
        raise ValueError("a fault of ours")

    with pytest.raises(TransportUnavailable, match="a fault of ours"):
        writer.run(work, _CALL_SEC)
    writer.run(lambda transaction: transaction.execute(*_insert(1, b"")), _CALL_SEC)
    assert _count(database) == 1


def test_an_acknowledged_write_waits_for_the_disk(database: Database) -> None:
    (synchronous,) = database.writing.execute("PRAGMA synchronous").fetchone()
    (journal,) = database.writing.execute("PRAGMA journal_mode").fetchone()
    assert (synchronous, journal) == (2, "wal")  # 2: FULL


def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(TransportUnavailable, match="readonly"), database.reading() as connection:
        connection.execute("DELETE FROM record")


def test_a_session_lets_nothing_land_after_what_has_failed(tmp_path: Path) -> None:
    with EmbeddedTransport(tmp_path) as transport:
        admin = transport.admin()
        topics = [Topic(name=name, key="-", partitions=1, keep=Keep.UNTIL_CONSUMED) for name in ("gone", "t")]
        admin.create_topics(topics, _CALL_SEC)
        producer = transport.producer()
        producer.append("t", b"before")
        producer.flush(_CALL_SEC)
        admin.delete_topic("gone", _CALL_SEC)
        with pytest.raises(AppendFailed) as failed:
            producer.append("gone", b"")
        assert failed.value.outcome is Outcome.NO
        with pytest.raises(AppendFailed):
            producer.append("t", b"after")
        producer.close()
        assert transport.reader().bounds([TopicPartition("t", 0)], _CALL_SEC)[TopicPartition("t", 0)].high == 1


def test_a_session_holds_no_more_than_its_buffer(tmp_path: Path) -> None:
    with EmbeddedTransport(tmp_path) as transport:
        admin = transport.admin()
        admin.create_topics([Topic(name="t", key="-", partitions=1, keep=Keep.UNTIL_CONSUMED)], _CALL_SEC)
        producer = transport.producer(linger_ms=30_000)
        for _ in range(67):
            producer.append("t", bytes(1_000_000))
        with pytest.raises(BufferFull):
            producer.append("t", bytes(1_000_000))
        producer.flush(_CALL_SEC)
        producer.append("t", b"there is room again")
        producer.flush(_CALL_SEC)
        producer.close()
