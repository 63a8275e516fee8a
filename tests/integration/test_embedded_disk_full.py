from __future__ import annotations

import asyncio
import contextlib

import pytest

from processor.core.clock import SystemClock
from processor.core.topics import Keep, Topic
from processor.transport.abstract import Appended, AppendFailed, Outcome, Producer, TopicPartition, Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.embedded.errors import NotOpened
from processor.transport.replay import read_to_end
from tests.disk import SmallDisk

_TOPIC = Topic(name="t", key="-", partitions=1, keep=Keep.UNTIL_CONSUMED)
_PLACE = TopicPartition("t", 0)
_CALL_SEC = 10.0


def test_a_full_disk_refuses_appends_and_heals_when_there_is_room(small_disk: SmallDisk) -> None:
    with EmbeddedTransport(small_disk.path) as transport:
        transport.admin().create_topics([_TOPIC], _CALL_SEC)
        durable = _fill(transport)
        assert durable > 10
        assert _append_awaited(transport, bytes(200_000)).outcome is Outcome.NO
        small_disk.resize(64)
        assert _append_awaited(transport, b"room again") == Appended(outcome=Outcome.YES, partition=0, offset=durable)
        producer = transport.producer()
        producer.append("t", b"and a new session")
        producer.flush(_CALL_SEC)
        producer.close()
    with EmbeddedTransport(small_disk.path) as transport:
        assert _values(transport)[durable:] == [b"room again", b"and a new session"]


def test_a_log_that_cannot_be_opened_on_a_full_disk_is_not_called_damaged(small_disk: SmallDisk) -> None:
    with EmbeddedTransport(small_disk.path) as transport:
        transport.admin().create_topics([_TOPIC], _CALL_SEC)
    filler = small_disk.path / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    with pytest.raises(NotOpened) as refused:
        EmbeddedTransport(small_disk.path)
    assert "Make room" in refused.value.remedy
    filler.unlink()
    with EmbeddedTransport(small_disk.path) as transport:
        assert _values(transport) == []


def _fill(transport: Transport) -> int:
    """Appends until the disk is full; returns how many were acknowledged."""
    producer = transport.producer()
    durable = 0
    while (outcome := _append(producer)) is Outcome.YES:
        durable += 1
    producer.close()
    assert outcome is Outcome.NO
    assert len(_values(transport)) == durable
    return durable


def _append(producer: Producer) -> Outcome:
    try:
        producer.append("t", bytes(10_000))
        producer.flush(_CALL_SEC)
    except AppendFailed as failed:
        return failed.outcome
    return Outcome.YES


def _append_awaited(transport: Transport, value: bytes) -> Appended:
    async def append() -> Appended:
        appender = transport.appender()
        await appender.start()
        try:
            return await appender.append("t", value)
        finally:
            await appender.stop()

    return asyncio.run(append())


def _values(transport: Transport) -> list[bytes | None]:
    reader = transport.reader()
    try:
        return [each.value for each in read_to_end(reader, [_PLACE], SystemClock(), timeout_sec=_CALL_SEC)]
    finally:
        reader.close()
