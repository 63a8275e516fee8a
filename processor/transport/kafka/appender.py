from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import aiokafka
from aiokafka import errors as kafka

from processor.transport.abstract import Appended, Appender, Headers, Outcome, TransportUnavailable
from processor.transport.kafka.names import Names
from processor.transport.kafka.settings import APPEND_TIMEOUT_MS, REQUEST_TIMEOUT_MS

_Client: Any = aiokafka.AIOKafkaProducer  # it has no types

_APPEND_SEC = APPEND_TIMEOUT_MS / 1000
_START_SEC = REQUEST_TIMEOUT_MS / 1000
_STOP_SEC = 3.0
_FIND_SEC = 3.0

#: The broker looked at the record and refused it.
_REFUSED = (
    kafka.MessageSizeTooLargeError,
    kafka.RecordListTooLargeError,
    kafka.InvalidTopicError,
    kafka.InvalidTimestampError,
    kafka.PolicyViolationError,
    kafka.UnsupportedForMessageFormatError,
    kafka.TopicAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
)


class KafkaAppender(Appender):
    """aiokafka, which awaits each record on the loop of its caller.

    After a lost batch its idempotent producer may refuse everything (a gap in the sequence), so any append without an
    answer retires the producer: the next append makes a new one, while those under way end on the old one.
    """

    def __init__(self, settings: Mapping[str, Any], names: Names) -> None:
        self._settings = settings
        self._prefix = names.prefix
        self._producer: Any = None
        self._replacing = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        #: Topics the producer has found; it looks for one that does not exist until its time is up.
        self._found: set[str] = set()

    async def start(self) -> None:
        try:
            await self._current()
        except kafka.KafkaError as error:
            raise TransportUnavailable(f"Kafka could not be reached: {error}") from error
        except TimeoutError as error:
            raise TransportUnavailable from error

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Appended:
        producer, queued = None, None
        try:
            async with asyncio.timeout(_APPEND_SEC):
                producer = self._producer or await self._current()
                if topic not in self._found:
                    await self._find(producer, topic)
                queued = await producer.send(
                    self._prefix + topic, value, key, partition, headers=list(headers) if headers else None
                )
                at = await queued
        except (kafka.KafkaError, TimeoutError, AssertionError) as error:
            # aiokafka asserts that the partition exists and that there is a key or a value.
            return self._failed(producer, queued is None, error)
        return Appended(outcome=Outcome.YES, partition=at.partition, offset=at.offset)

    async def stop(self) -> None:
        if self._producer is not None:
            self._retire(self._producer)
        while self._retiring:
            await asyncio.gather(*self._retiring)

    async def _find(self, producer: Any, topic: str) -> None:
        async with asyncio.timeout(_FIND_SEC):
            await producer.partitions_for(self._prefix + topic)
        self._found.add(topic)

    def _failed(self, producer: Any, unsent: bool, error: BaseException) -> Appended:
        reason = repr(error)
        if unsent or isinstance(error, _REFUSED):
            return Appended(outcome=Outcome.NO, reason=reason)
        if producer is not None:
            self._retire(producer)
        return Appended(outcome=Outcome.UNKNOWN, reason=reason)

    async def _current(self) -> Any:
        async with self._replacing:
            if self._producer is None:
                self._producer = await self._connected()
            return self._producer

    async def _connected(self) -> Any:
        producer = _Client(**self._settings)
        try:
            async with asyncio.timeout(_START_SEC):
                await producer.start()
        except BaseException:
            await _close(producer)
            raise
        return producer

    def _retire(self, producer: Any) -> None:
        if producer is self._producer:
            self._producer = None
            self._found.clear()
            task = asyncio.get_running_loop().create_task(_close(producer))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)


async def _close(producer: Any) -> None:
    """Flushes for a few seconds; then the connections go, which ends whatever still waits for them."""
    stopping = asyncio.ensure_future(producer.stop())
    await asyncio.wait({stopping}, timeout=_STOP_SEC)
    if not stopping.done():
        await producer.client.close()
        stopping.cancel()
    with contextlib.suppress(kafka.KafkaError, asyncio.CancelledError):
        await stopping
