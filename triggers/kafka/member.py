"""A member of the source's consumer group: aiokafka's consumer, with every call bounded and its errors named."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import aiokafka
from aiokafka import TopicPartition
from aiokafka import errors as kafka
from aiokafka.abc import ConsumerRebalanceListener

from triggers.kafka.abstract import SourceRecord
from triggers.kafka.client import CALL_SEC, consumer_settings, to_its_end
from triggers.kafka.errors import SourceTrouble
from triggers.kafka.look import trouble_of
from triggers.kafka.settings import SourceSettings, Start

# aiokafka has no types.
_Consumer: Any = aiokafka.AIOKafkaConsumer
_Listener: Any = ConsumerRebalanceListener

_CLOSE_SEC = 3.0
#: While a rebalance goes on a poll would wait for its end.
_POLL_LIMIT_SEC = 2.0
#: aiokafka's code for LogAppendTime.
_LOG_APPEND_TIME = 1

#: Called before partitions go, while they still may be committed.
OnRevoke = Callable[[], Awaitable[None]]


class NotOurs(SourceTrouble):
    """The partitions have gone to somebody else meanwhile; what was not committed is done there."""


class OutOfRange(Exception):
    """Offsets that do not exist any more, or not yet, by partition."""

    def __init__(self, offsets: Mapping[int, int]) -> None:
        super().__init__(str(offsets))
        self.offsets = offsets


class Member:
    """Partitions are numbers: there is one topic. Used on one event loop; `poll` is not called twice at once."""

    def __init__(self, settings: SourceSettings, cluster: str, session_ms: int, on_revoke: OnRevoke) -> None:
        self._settings = settings
        self._cluster = cluster
        self._consumer: Any = _Consumer(**consumer_settings(settings, session_ms))
        self._listener = _Relay(on_revoke)

    async def start(self) -> None:
        """Raises SourceTrouble."""
        async with self._named(None):
            await to_its_end(self._consumer.start())
            self._consumer.subscribe([self._settings.topic], listener=self._listener)

    async def stop(self) -> None:
        """Leaves the group, in a few seconds at most."""
        stopping = asyncio.ensure_future(self._consumer.stop())
        await asyncio.wait({stopping}, timeout=_CLOSE_SEC)
        if not stopping.done():
            # It waits for a request of its own: that ends when its connections do, which it has no name for.
            await self._consumer._client.close()
            await asyncio.wait({stopping}, timeout=_CLOSE_SEC)
            stopping.cancel()
        with contextlib.suppress(kafka.KafkaError, asyncio.CancelledError):
            await stopping
        await self._consumer._client.close()  # also what it has opened meanwhile

    def assignment(self) -> frozenset[int]:
        return frozenset(each.partition for each in self._consumer.assignment())

    def lag(self, position: Mapping[int, int]) -> int:
        """Records behind, as far as the broker has told yet."""
        here = self.assignment()
        ends = {each: self._consumer.highwater(self._at(each)) for each in position if each in here}
        return sum(max((end or 0) - position[each], 0) for each, end in ends.items())

    async def poll(self, max_records: int, timeout_sec: float) -> dict[int, list[SourceRecord]]:
        """Returns after timeout_sec, during a rebalance after a little more. Raises SourceTrouble, OutOfRange. Keeps
        the membership alive.
        """
        found: Mapping[Any, Sequence[Any]] = {}
        async with self._named():
            try:
                async with asyncio.timeout(_POLL_LIMIT_SEC):
                    found = await self._consumer.getmany(timeout_ms=int(timeout_sec * 1000), max_records=max_records)
            except TimeoutError:
                pass  # nothing was taken from the client's buffers
            except kafka.NoOffsetForPartitionError:
                pass  # it is found out where to begin with a partition before anything is read of it
            except kafka.OffsetOutOfRangeError as error:
                raise OutOfRange({at.partition: offset for at, offset in error.args[0].items()}) from error
        return {at.partition: [self._record(each) for each in records] for at, records in found.items()}

    async def position(self, partition: int) -> int:
        """Of the next record to be fetched, past the holes of compaction and transactions."""
        async with self._named():
            return int(await self._consumer.position(self._at(partition)))

    @property
    def joined(self) -> bool:
        """The group has given us our share, which may be none."""
        return self._listener.joined

    async def commit(self, offsets: Mapping[int, tuple[int, str]], limit_sec: float = CALL_SEC) -> None:
        """partition -> (offset, metadata). Raises NotOurs, SourceTrouble."""
        async with self._named(limit_sec):
            try:
                await self._consumer.commit({self._at(each): what for each, what in offsets.items()})
            except (kafka.CommitFailedError, kafka.IllegalStateError) as error:
                raise NotOurs from error

    async def begin_of(self, partitions: Collection[int]) -> dict[int, int]:
        async with self._named():
            found = await self._consumer.beginning_offsets([self._at(each) for each in partitions])
        return {at.partition: offset for at, offset in found.items()}

    async def start_of(self, partitions: Collection[int]) -> dict[int, int]:
        """Where the trigger's `start` says."""
        places = [self._at(each) for each in partitions]
        if self._settings.start is Start.EARLIEST:
            return await self.begin_of(partitions)
        async with self._named():
            ends = await self._consumer.end_offsets(places)
            offsets = {at.partition: end for at, end in ends.items()}
            if self._settings.start is Start.TIME:
                found = await self._consumer.offsets_for_times(dict.fromkeys(places, self._settings.start_ms))
                offsets |= {at.partition: each.offset for at, each in found.items() if each is not None}
        return offsets

    def seek(self, partition: int, offset: int) -> None:
        self._consumer.seek(self._at(partition), offset)

    def pause(self) -> None:
        """All that are assigned now. A partition that is assigned later is not paused."""
        self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        self._consumer.resume(*self._consumer.paused())

    def _at(self, partition: int) -> Any:
        return TopicPartition(self._settings.topic, partition)

    def _record(self, each: Any) -> SourceRecord:
        headers: Sequence[tuple[str, bytes | None]] = each.headers
        return SourceRecord(
            self._cluster,
            each.topic,
            each.partition,
            each.offset,
            each.timestamp,
            each.key,
            each.value,
            [(name, value or b"") for name, value in headers] if headers else (),
            each.timestamp_type == _LOG_APPEND_TIME,
        )

    @contextlib.asynccontextmanager
    async def _named(self, limit_sec: float | None = CALL_SEC) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(limit_sec):
                yield
        except (kafka.KafkaError, TimeoutError) as error:
            raise trouble_of(error, self._settings) from error


class _Relay(_Listener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, on_revoke: OnRevoke) -> None:
        self._on_revoke = on_revoke
        self.joined = False

    async def on_partitions_revoked(self, revoked: object) -> None:
        await self._on_revoke()

    def on_partitions_assigned(self, assigned: object) -> None:
        self.joined = True
