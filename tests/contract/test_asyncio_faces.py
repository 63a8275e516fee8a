from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from processor.core.topics import MAX_MESSAGE_BYTES
from processor.transport.abstract import Appended, Appender, Outcome, Record, Tail, TopicPartition, Transport
from tests.contract.harness import create, numbered, read, write
from tests.contract.member import CALL_SEC

T = TypeVar("T")


def test_an_awaited_append_tells_where_its_record_is(transport: Transport) -> None:
    partitions = create(transport, "t", partitions=2)
    write(transport, partitions[1], numbered(3))

    async def append(appender: Appender) -> Appended:
        return await appender.append("t", b"v", key=b"k", partition=1, headers=[("h", b"1")])

    assert _append(transport, append) == Appended(outcome=Outcome.YES, partition=1, offset=3)
    last = read(transport, partitions)[-1]
    assert (last.offset, last.key, last.value, list(last.headers)) == (3, b"k", b"v", [("h", b"1")])


def test_many_appends_at_once_each_get_their_own_place(transport: Transport) -> None:
    partitions = create(transport, "t", partitions=2)

    async def append(appender: Appender) -> list[Appended]:
        return await asyncio.gather(*(appender.append("t", b"%d" % n, key=b"%d" % n) for n in range(200)))

    appended = _append(transport, append)
    assert {each.outcome for each in appended} == {Outcome.YES}
    places = {(each.partition, each.offset): each.value for each in read(transport, partitions)}
    assert [places[each.partition, each.offset] for each in appended] == numbered(200)


def test_threads_and_asyncio_agree_on_the_partition_of_a_key(transport: Transport) -> None:
    partitions = create(transport, "t", partitions=4)
    keys = [b"key-%d" % number for number in range(40)]
    producer = transport.producer()
    for key in keys:
        producer.append("t", b"", key=key)
    producer.flush(CALL_SEC)
    producer.close()
    by_producer = {each.key: each.partition for each in read(transport, partitions)}

    async def append(appender: Appender) -> list[Appended]:
        return [await appender.append("t", b"", key=key) for key in keys]

    assert [each.partition for each in _append(transport, append)] == [by_producer[key] for key in keys]


def test_a_failed_append_is_an_outcome_and_the_next_one_goes_through(transport: Transport) -> None:
    create(transport, "t")

    async def append(appender: Appender) -> tuple[Appended, Appended, Appended]:
        return (
            await appender.append("absent", b"x", partition=0),
            await appender.append("t", bytes(MAX_MESSAGE_BYTES + 1), partition=0),
            await appender.append("t", b"fits", partition=0),
        )

    absent, too_large, fits = _append(transport, append)
    assert absent.outcome is not Outcome.YES
    assert absent.reason
    assert too_large.outcome is Outcome.NO
    assert too_large.reason
    assert fits == Appended(outcome=Outcome.YES, partition=0, offset=0)


def test_a_tail_from_the_low_bounds_reads_all_then_what_comes(transport: Transport) -> None:
    partitions = create(transport, "t", partitions=2)
    (other,) = create(transport, "other")
    write(transport, partitions[0], numbered(10))
    write(transport, other, numbered(5))

    async def follow() -> None:
        tail = transport.tail()
        await tail.start(["t", "other"], from_low=True)
        assert not await tail.at_end()
        seen = await _read_until_end(tail)
        assert sorted(_places(seen)) == [("other", 0, n) for n in range(5)] + [("t", 0, n) for n in range(10)]
        assert [each.value for each in await _while_writing(transport, partitions[1], tail)] == [b"new"]
        assert await tail.at_end()
        await tail.stop()

    asyncio.run(follow())


def test_a_tail_from_the_high_bounds_reads_only_what_comes(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    write(transport, partition, numbered(10))

    async def follow() -> None:
        tail = transport.tail()
        await tail.start(["t"], from_low=False)
        assert await tail.at_end()
        assert await tail.poll(10, 0.1) == []
        assert _places(await _while_writing(transport, partition, tail)) == [("t", 0, 10)]
        await tail.stop()

    asyncio.run(follow())


def test_a_tail_of_an_empty_topic_is_at_its_end(transport: Transport) -> None:
    create(transport, "t", partitions=2)

    async def follow() -> bool:
        tail = transport.tail()
        await tail.start(["t"], from_low=True)
        try:
            return await tail.at_end()
        finally:
            await tail.stop()

    assert asyncio.run(follow())


def _append(transport: Transport, work: Callable[[Appender], Awaitable[T]]) -> T:
    async def run() -> T:
        appender = transport.appender()
        await appender.start()
        try:
            return await work(appender)
        finally:
            await appender.stop()

    return asyncio.run(run())


async def _read_until_end(tail: Tail) -> list[Record]:
    records: list[Record] = []
    while not await tail.at_end():
        records += await tail.poll(4, CALL_SEC)
    return records


async def _while_writing(transport: Transport, partition: TopicPartition, tail: Tail) -> list[Record]:
    """The tail already waits when the record comes."""
    waiting = asyncio.create_task(tail.poll(10, CALL_SEC))
    await asyncio.to_thread(write, transport, partition, [b"new"])
    return await waiting


def _places(records: list[Record]) -> list[tuple[str, int, int]]:
    return [(each.topic, each.partition, each.offset) for each in records]
