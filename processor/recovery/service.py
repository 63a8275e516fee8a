from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Collection

from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.inflight import Sign, SignKind
from processor.core.lifesigns import BEAT_EVERY_SEC, DeathWatch
from processor.core.loop import LoopService
from processor.core.topics import INSTANCES
from processor.recovery.procedure import Recovery
from processor.transport.abstract import Producer, Reader, Record, TopicPartition, Transport

log = logging.getLogger(__name__)

CALL_SEC = 10.0
POLL_SEC = 0.5
#: Open intents that could not be decided are looked at again this often: a paused commit may still land.
LOOK_AGAIN_SEC = 5.0
#: The longest pause between two looks; after it an executor is done with.
LAST_LOOK_SEC = 200.0


class RecoveryService(LoopService):
    """Watches life signs, declares the silent dead and closes what they held. Runs beside each dispatcher."""

    def __init__(self, *, transport: Transport, clock: Clock, name: str) -> None:
        super().__init__(f"recovery {name}")
        self._transport = transport
        self._clock = clock
        self._process = name

    def serve(self) -> None:
        recovery = Recovery(self._transport, self._clock, self._process)
        signs = _Signs(self._transport, self._clock, self._process)
        agenda = RecoveryAgenda()
        try:
            while not self.stopping.is_set():
                signs.beat_and_read()
                if silent := signs.watch.to_declare():
                    log.warning("declared dead: %s", ", ".join(silent), extra={"action": "declare_dead"})
                    recovery.declare(silent)
                now_sec = self._clock.boottime()
                agenda.add(signs.watch.dead(), now_sec)
                if due := agenda.due(now_sec):
                    agenda.looked(due, open_claims=recovery.close_claims(due), now_sec=now_sec)
        finally:
            signs.close()


class RecoveryAgenda:
    """When to look at whose open intents.

    Again and again while something cannot be decided, since a paused commit may still land; and some more times after
    that, since one that was slow to notice its mark may have claimed once more.
    """

    def __init__(self) -> None:
        self._next_sec: dict[str, float] = {}
        self._pause_sec: dict[str, float] = {}

    def add(self, dead: Collection[str], now_sec: float) -> None:
        for executor in dead:
            if executor not in self._pause_sec:
                self._next_sec[executor] = now_sec
                self._pause_sec[executor] = LOOK_AGAIN_SEC

    def due(self, now_sec: float) -> list[str]:
        return [executor for executor, at_sec in self._next_sec.items() if at_sec <= now_sec]

    def looked(self, executors: Collection[str], *, open_claims: int, now_sec: float) -> None:
        for executor in executors:
            if not open_claims:
                self._pause_sec[executor] *= 3
            if self._pause_sec[executor] > LAST_LOOK_SEC:
                del self._next_sec[executor]
            else:
                self._next_sec[executor] = now_sec + self._pause_sec[executor]


class _Signs:
    """Our own beats on `instances`, and everybody's read back from it."""

    def __init__(self, transport: Transport, clock: Clock, name: str) -> None:
        self._clock = clock
        self._process = f"{name}#recovery-{clock.unix_ms():x}"
        self.watch = DeathWatch(self._process)
        self._producer: Producer = transport.producer()
        self._reader: Reader = transport.reader()
        partition = TopicPartition(INSTANCES.name, 0)
        try:
            self._reader.assign({partition: self._reader.bounds([partition], CALL_SEC)[partition].low})
        except BaseException:
            self.close()
            raise
        self._next_beat_sec = 0.0
        #: at_ms of our beats that were not read back yet -> when they were sent.
        self._sent: OrderedDict[int, float] = OrderedDict()

    def beat_and_read(self) -> None:
        """Blocks up to POLL_SEC."""
        now_sec = self._clock.boottime()
        if now_sec >= self._next_beat_sec:
            self._next_beat_sec = now_sec + BEAT_EVERY_SEC
            self._beat(now_sec)
        for record in self._reader.poll(1_000, POLL_SEC):
            self._observe(record)

    def close(self) -> None:
        self._producer.close()
        self._reader.close()

    def _beat(self, now_sec: float) -> None:
        sign = Sign(kind=SignKind.HEARTBEAT, process=self._process, role="recovery", at_ms=self._clock.unix_ms())
        self._sent[sign.at_ms] = now_sec
        while len(self._sent) > 100:
            self._sent.popitem(last=False)
        self._producer.append(INSTANCES.name, sign.encode(), key=sign.key, partition=0)
        self._producer.flush(CALL_SEC)

    def _observe(self, record: Record) -> None:
        if record.value is None:
            kind, _, process = (record.key or b"").decode("utf-8", "replace").partition(" ")
            if kind == SignKind.HEARTBEAT.value:
                self.watch.departed(process)
            return
        try:
            sign = Sign.decode(record.value)
        except Undecodable as error:
            log.warning("a life sign cannot be read: %s", error, extra={"action": "sign_undecodable"})
            return
        self.watch.observe(sign, self._sent.pop(sign.at_ms, None) if sign.process == self._process else None)
