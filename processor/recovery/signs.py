from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.failpoints import failpoint
from processor.core.inflight import Sign, SignKind
from processor.core.lifesigns import WATCH_BEAT_SEC, DeathWatch, OwnBeat
from processor.core.topics import INSTANCES
from processor.transport.abstract import Producer, Reader, Record, TopicPartition, Transport, TransportError

log = logging.getLogger(__name__)

ROLE = "recovery"
CALL_SEC = 10.0
#: Nobody waits for the last word of a recovery that stops.
DEPART_SEC = 2.0
POLL_SEC = 0.5
PARTITION = TopicPartition(INSTANCES.name, 0)
#: A beat that was not read back by then never will be of use.
KEPT_BEATS = 100


class LifeSigns:
    """Recovery's own beats on `instances`, and everybody's read back from it. Used by one thread."""

    def __init__(self, transport: Transport, clock: Clock, process: str) -> None:
        """process: ours, and nobody's before us: a beat of an earlier life would not be told from ours."""
        self._clock = clock
        self._process = process
        self.watch = DeathWatch(process)
        self._next_beat_sec = 0.0
        #: at_ms of our beats that were not read back yet.
        self._unread: OrderedDict[int, OwnBeat] = OrderedDict()
        self._producer: Producer = transport.producer()
        self._reader: Reader = transport.reader()
        try:
            self._reader.assign({PARTITION: self._reader.bounds([PARTITION], CALL_SEC)[PARTITION].low})
        except BaseException:
            self._close_sessions()
            raise

    def beat_and_read(self) -> None:
        """Blocks up to POLL_SEC. Raises TransportError."""
        now_sec = self._clock.boottime()
        judged_at_sec = self.watch.judged_at_sec()
        if now_sec >= self._next_beat_sec or (judged_at_sec is not None and now_sec >= judged_at_sec):
            self._next_beat_sec = now_sec + WATCH_BEAT_SEC
            self._beat(now_sec)
        due_sec = min(self._next_beat_sec, judged_at_sec or self._next_beat_sec)
        for record in self._reader.poll(1_000, max(min(due_sec - now_sec, POLL_SEC), 0.0)):
            self._observe(record)
        self._forget(self.watch.gone())

    def close(self) -> None:
        """Takes our beat off the log: nobody waits for us."""
        try:
            self._forget([self._process])
            self._producer.flush(DEPART_SEC)
        except TransportError as error:
            log.info("the last life sign stays: %s", error, extra={"action": "recovery_leaves"})
        finally:
            self._close_sessions()

    def _close_sessions(self) -> None:
        self._producer.close()
        self._reader.close()

    def _beat(self, now_sec: float) -> None:
        failpoint("recovery.beat.before")
        sign = Sign(kind=SignKind.HEARTBEAT, process=self._process, role=ROLE, at_ms=self._clock.unix_ms())
        self._producer.append(INSTANCES.name, sign.encode(), key=sign.key, partition=0)
        self._producer.flush(CALL_SEC)
        failpoint("recovery.beat.after")
        self._unread[sign.at_ms] = OwnBeat(sent_sec=now_sec, durable_sec=self._clock.boottime())
        while len(self._unread) > KEPT_BEATS:
            self._unread.popitem(last=False)

    def _forget(self, processes: list[str]) -> None:
        """Who was killed left its key behind, and every reader of this topic would read it for ever."""
        for process in processes:
            sign = Sign(kind=SignKind.HEARTBEAT, process=process, role=ROLE, at_ms=0)
            self._producer.append(INSTANCES.name, None, key=sign.key, partition=0)

    def _observe(self, record: Record) -> None:
        heed(self.watch, record, self._own_beat)

    def _own_beat(self, sign: Sign) -> OwnBeat | None:
        own = sign.kind is SignKind.HEARTBEAT and sign.process == self._process
        return self._unread.pop(sign.at_ms, None) if own else None


def heed(watch: DeathWatch, record: Record, own_beat: Callable[[Sign], OwnBeat | None] = lambda _: None) -> None:
    """Tells the watch of the next record of `instances`."""
    if record.value is None:
        kind, _, process = (record.key or b"").decode("utf-8", "replace").partition(" ")
        if kind == SignKind.HEARTBEAT.value:
            watch.departed(process)
        return
    try:
        sign = Sign.decode(record.value)
    except Undecodable as error:
        log.warning("a life sign cannot be read: %s", error, extra={"action": "sign_undecodable"})
        return
    watch.observe(sign, record.offset, own_beat(sign))
