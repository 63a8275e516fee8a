from __future__ import annotations

import asyncio
import contextlib

from processor.transport.abstract import Appended, Appender, Headers, Outcome, RecordTooLarge, UnknownTopic
from processor.transport.embedded.batch import Batch, Entry, entry_bytes
from processor.transport.embedded.partitioner import Partitioner
from processor.transport.embedded.store import LogStore
from processor.transport.embedded.writer import Writer

_APPEND_SEC = 10.0
_STOP_SEC = 3.0
_TIMED_OUT = Appended(outcome=Outcome.UNKNOWN, reason="the disk did not answer in time")


class EmbeddedAppender(Appender):
    def __init__(self, store: LogStore, writer: Writer) -> None:
        self._writer = writer
        self._partitioner = Partitioner(store)
        self._open: _Awaited | None = None
        self._waiting: set[asyncio.Future[Appended]] = set()

    async def start(self) -> None:
        pass

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Appended:
        try:
            size_bytes = entry_bytes(topic, key, value, headers)
            entry = Entry(self._partitioner.choose(topic, key, partition), key, value, headers)
        except (RecordTooLarge, UnknownTopic) as error:
            return Appended(outcome=Outcome.NO, reason=str(error))
        ended = self._queue(entry, size_bytes)
        self._waiting.add(ended)
        try:
            async with asyncio.timeout(_APPEND_SEC):
                return await ended
        except TimeoutError:
            return _TIMED_OUT
        finally:
            self._waiting.discard(ended)

    async def stop(self) -> None:
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=_STOP_SEC)

    def _queue(self, entry: Entry, size_bytes: int) -> asyncio.Future[Appended]:
        if self._open is None or not self._open.add(entry, size_bytes):
            self._open = _Awaited(asyncio.get_running_loop())
            self._open.add(entry, size_bytes)
            self._writer.submit(self._open)
        return self._open.expect()


class _Awaited(Batch):
    """A batch whose every append is awaited by somebody on the event loop; the loop is woken once for all of them."""

    __slots__ = ("_futures", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(lambda: "", self._tell)
        self._loop = loop
        self._futures: list[asyncio.Future[Appended]] = []

    def expect(self) -> asyncio.Future[Appended]:
        """For the entry added last."""
        future: asyncio.Future[Appended] = self._loop.create_future()
        self._futures.append(future)
        return future

    def _tell(self, batch: Batch) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        for number, future in enumerate(self._futures):
            if not future.done():
                future.set_result(self._appended(number))

    def _appended(self, number: int) -> Appended:
        if self.outcome is not Outcome.YES:
            return Appended(outcome=self.outcome, reason=self.reason)
        record = self.records[number]
        return Appended(outcome=Outcome.YES, partition=record.partition, offset=record.offset)
