from __future__ import annotations

import threading
import time

from processor.transport.abstract import AppendFailed, BufferFull, Headers, Outcome, Producer, UnknownTopic
from processor.transport.embedded.batch import Batch, Entry, entry_bytes
from processor.transport.embedded.partitioner import Partitioner
from processor.transport.embedded.store import LogStore
from processor.transport.embedded.writer import Writer

#: Queued and not yet durable, per session.
_BUFFER_LIMIT_BYTES = 64 * 1024 * 1024
_CLOSE_SEC = 1.0


class EmbeddedProducer(Producer):
    def __init__(self, store: LogStore, writer: Writer, *, linger_sec: float) -> None:
        self._writer = writer
        self._partitioner = Partitioner(store)
        self._linger_sec = linger_sec
        self._open: Batch | None = None
        self._failure: AppendFailed | None = None
        #: Counted by this session's thread and by the writer thread, each its own: no lock per record.
        self._appended_bytes = 0
        self._ended_bytes = 0
        self._changed = threading.Condition()
        self._pending_batches = 0

    def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> None:
        if self._failure is not None:
            raise self._failure
        size_bytes = entry_bytes(topic, key, value, headers)
        if self._appended_bytes - self._ended_bytes + size_bytes > _BUFFER_LIMIT_BYTES:
            raise BufferFull
        try:
            entry = Entry(self._partitioner.choose(topic, key, partition), key, value, headers)
        except UnknownTopic as error:
            self._failure = AppendFailed(Outcome.NO, str(error))
            raise self._failure from error
        if self._open is None or not self._open.add(entry, size_bytes):
            self._begin(entry, size_bytes)
        self._appended_bytes += size_bytes

    def flush(self, timeout_sec: float) -> None:
        with self._changed:
            if not self._wait(timeout_sec):
                self._failure = AppendFailed(Outcome.UNKNOWN, "the disk did not answer in time")
        self.poll()

    def landed(self, timeout_sec: float) -> bool:
        with self._changed:
            landed = self._wait(timeout_sec)
        self.poll()
        return landed

    def poll(self) -> None:
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        if self._linger_sec:
            self._writer.hurry()
        with self._changed:
            self._changed.wait_for(lambda: not self._pending_batches, _CLOSE_SEC)

    def _wait(self, timeout_sec: float) -> bool:
        """With the lock held. True: nothing is on its way any more."""
        if self._linger_sec:
            self._writer.hurry()
        deadline = time.monotonic() + timeout_sec
        while self._pending_batches and self._changed.wait(deadline - time.monotonic()):
            pass
        return not self._pending_batches

    def _begin(self, entry: Entry, size_bytes: int) -> None:
        batch = self._open = Batch(self._why_not, self._ended)
        batch.add(entry, size_bytes)
        with self._changed:
            self._pending_batches += 1
        if self._linger_sec:
            self._writer.submit_later(batch, self._linger_sec)
        else:
            self._writer.submit(batch)

    def _why_not(self) -> str:
        """Nothing of a session lands after what has failed."""
        return "" if self._failure is None else self._failure.reason

    def _ended(self, batch: Batch) -> None:
        self._ended_bytes += batch.size_bytes
        with self._changed:
            self._pending_batches -= 1
            if batch.outcome is not Outcome.YES:
                self._failure = self._failure or AppendFailed(batch.outcome, batch.reason)
            self._changed.notify_all()
