from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from processor.core.clock import Clock
from processor.core.failpoints import failpoint
from processor.core.loop import LoopService
from processor.core.topics import LOGS, RUNS
from processor.recorder.batch import decode_batch
from processor.recorder.store import HistoryStore
from processor.transport.abstract import Bounds, Reader, Record, TopicPartition, Transport

log = logging.getLogger(__name__)

#: One transaction takes at most this many records, or this much and one piece more, or what came within this time after
#: the first. Large ones are for catching up: half the work of a transaction is the same for 500 records and for 5,000.
BATCH_RECORDS = 5_000
BATCH_BYTES = 33_554_432
BATCH_SEC = 0.05
#: A verdict may have a megabyte, so they are fetched by the piece.
_PIECE_RECORDS = 500
EXPIRE_EVERY_SEC = 600.0
_CALL_LIMIT_SEC = 10.0


class RecorderService(LoopService):
    """Projects the ledger and the logs into the history. Never gives up: after any failure (broker away, disk full) it
    opens everything anew and goes on from the offsets that the history itself has; the topics keep it all for days.
    """

    def __init__(self, *, transport: Transport, store: HistoryStore, clock: Clock) -> None:
        super().__init__("recorder")
        self._transport = transport
        self._store = store
        self._clock = clock
        self._next_expiry_sec = 0.0
        #: Set once the topics are being read; cleared while something is wrong. Readable from any thread.
        self.reading = threading.Event()
        #: Records applied since the start, for metrics.
        self.applied = 0

    def serve(self) -> None:
        """Read what is new, fold it, write it with its offsets in one transaction; again."""
        self._store.open_for_writing()
        reader = self._transport.reader(patient=True)
        try:
            missed = self._begin(reader)
            self.reading.set()
            while not self.stopping.is_set():
                records = self._gather(reader)
                if records:
                    batch = decode_batch(records)
                    batch.missed, missed = missed, 0
                    failpoint("recorder.batch.before")
                    self._store.apply(batch, _offsets_after(records))
                    failpoint("recorder.commit.after")
                    self.applied += len(records)
                self._expire()
        finally:
            self.reading.clear()
            reader.close()

    def _begin(self, reader: Reader) -> int:
        """Returns how many records were deleted before they could be read."""
        partitions = [each for topic in (RUNS, LOGS) for each in reader.partitions(topic.name, _CALL_LIMIT_SEC)]
        bounds = reader.bounds(partitions, _CALL_LIMIT_SEC)
        stored = self._store.offsets()
        starts = {each: start_offset(stored.get(each), bounds[each]) for each in partitions}
        reader.assign(starts)
        missed = count_missed(stored, bounds)
        if missed:
            log.error(
                "%d records were deleted from the topics before the recorder could read them; the runs they belong to "
                "show an old state",
                missed,
                extra={"action": "recorder_missed"},
            )
        return missed

    def _gather(self, reader: Reader) -> list[Record]:
        records = reader.poll(_PIECE_RECORDS, BATCH_SEC)
        deadline_sec = self._clock.boottime() + BATCH_SEC
        left_bytes = BATCH_BYTES - _bytes_of(records)
        while records and len(records) < BATCH_RECORDS and left_bytes > 0:
            left_sec = deadline_sec - self._clock.boottime()
            if left_sec <= 0 or self.stopping.is_set():
                break
            more = reader.poll(min(_PIECE_RECORDS, BATCH_RECORDS - len(records)), left_sec)
            left_bytes -= _bytes_of(more)
            records += more
        return records

    def _expire(self) -> None:
        now_sec = self._clock.boottime()
        if now_sec >= self._next_expiry_sec:
            more = self._store.expire(self._clock.unix_ms())
            self._next_expiry_sec = now_sec + (0.0 if more else EXPIRE_EVERY_SEC)


def _bytes_of(records: list[Record]) -> int:
    return sum(len(each.value or b"") for each in records)


def start_offset(stored: int | None, bounds: Bounds) -> int:
    """Where to go on. An offset outside of the log means that its records were deleted, or that the topic was made
    anew: the low bound then, because the fold takes what it knows already without harm.
    """
    return stored if stored is not None and bounds.low <= stored <= bounds.high else bounds.low


def count_missed(stored: Mapping[TopicPartition, int], bounds: Mapping[TopicPartition, Bounds]) -> int:
    return sum(max(bounds[each].low - offset, 0) for each, offset in stored.items() if each in bounds)


def _offsets_after(records: list[Record]) -> dict[TopicPartition, int]:
    return {TopicPartition(each.topic, each.partition): each.offset + 1 for each in records}
