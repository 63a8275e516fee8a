from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from processor.core.clock import Clock
from processor.core.failpoints import failpoint
from processor.core.inflight import Sign, SignKind
from processor.core.lifesigns import BEAT_EVERY_SEC, HandOverCheck
from processor.core.topics import INSTANCES
from processor.core.waits import Wait
from processor.executor.books import Books
from processor.transport.abstract import TopicPartition, Transport, TransportError
from processor.transport.replay import read_to_end

log = logging.getLogger(__name__)

ROLE = "executor"
#: The executor's loop waits for it, and its guard for the loop.
READ_SEC = 3.0
#: What has changed since the last heartbeat makes the next one come this soon.
CHANGE_AFTER_SEC = 1.0
#: A heartbeat has to fit into a record: of more functions than this it does not say why they wait.
MAX_WAITS = 1_000
#: And of more queue partitions than this it does not say how many runs of each it has.
MAX_HELD = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a heartbeat says besides "alive"; see core.inflight.Sign."""

    serving: bool = True
    room: bool = True
    waits: Mapping[str, Wait] = field(default_factory=dict)
    young_deaths: int = 0
    held: Mapping[str, int] = field(default_factory=dict)


class Life:
    """The life signs of one executor incarnation: its heartbeats, and whether it may still hand runs over."""

    def __init__(
        self, *, transport: Transport, books: Books, clock: Clock, executor: str, report: Report | None = None
    ) -> None:
        """report: what the first heartbeat says."""
        self._transport = transport
        self._books = books
        self._clock = clock
        self._executor = executor
        self._check = HandOverCheck()
        self._sent_at_sec: float | None = None
        self._next_beat_sec = 0.0
        self._beat_at_sec = 0.0
        self._report = report or Report()
        #: A `dead` mark for us was read: nothing of ours may start, everything of ours has to end.
        self.declared_dead = False

    def beat_if_due(self) -> None:
        """Writes a heartbeat into the books; the caller's next good flush acknowledges it."""
        now_sec = self._clock.boottime()
        if now_sec >= self._next_beat_sec and self._sent_at_sec is None:
            failpoint("life.beat.before")
            self._write(SignKind.HEARTBEAT)
            failpoint("life.beat.after")
            self._sent_at_sec = self._beat_at_sec = now_sec
            self._next_beat_sec = now_sec + BEAT_EVERY_SEC

    def report(self, report: Report) -> None:
        """For the heartbeats from now on."""
        if report != self._report:
            self._report = report
            self._next_beat_sec = min(self._next_beat_sec, self._beat_at_sec + CHANGE_AFTER_SEC)

    @property
    def waits_for_acknowledgement(self) -> bool:
        return self._sent_at_sec is not None

    def flushed(self) -> None:
        """Everything written so far is on the log."""
        if self._sent_at_sec is not None:
            self._check.acknowledged(self._sent_at_sec, self._clock.boottime())
            self._sent_at_sec = None

    def may_hand_over(self) -> bool:
        """Right before a claimed run is started. Blocks for a read of `instances` after a gap in the heartbeats."""
        if self.declared_dead:
            return False
        if self._check.passes(self._clock.boottime()):
            return True
        if self.silent_for_sec() < BEAT_EVERY_SEC:
            self._look_for_mark()
        else:
            self._next_beat_sec = 0.0
        return not self.declared_dead and self._check.passes(self._clock.boottime())

    def passes(self) -> bool:
        """The check alone: reads nothing, never blocks. False until `may_hand_over` has looked after a silence."""
        return not self.declared_dead and self._check.passes(self._clock.boottime())

    def silent_for_sec(self) -> float:
        return self._check.silent_for_sec(self._clock.boottime())

    def depart(self) -> None:
        """Stopped in order with nothing open: takes the heartbeat off the log, so that nobody is declared dead."""
        sign = self._sign(SignKind.HEARTBEAT)
        failpoint("life.depart.before")
        self._books.write(INSTANCES.name, None, key=sign.key, partition=0)
        failpoint("life.depart.after")

    def _look_for_mark(self) -> None:
        began_at_sec = self._clock.boottime()
        reader = self._transport.reader()
        try:
            mark = self._sign(SignKind.DEAD).key
            records = read_to_end(reader, [TopicPartition(INSTANCES.name, 0)], self._clock, timeout_sec=READ_SEC)
            self.declared_dead = any(record.key == mark and record.value is not None for record in records)
            self._check.read_to_end(began_at_sec)
            if self.declared_dead:
                log.warning("this executor was declared dead: it starts nothing", extra={"action": "own_mark_found"})
        except TransportError as error:
            log.warning("life signs cannot be read: %s", error, extra={"action": "handover_wait"})
        finally:
            reader.close()

    def _write(self, kind: SignKind) -> None:
        sign = self._sign(kind)
        self._books.write(INSTANCES.name, sign.encode(), key=sign.key, partition=0)

    def _sign(self, kind: SignKind) -> Sign:
        report = self._report
        return Sign(
            kind=kind,
            process=self._executor,
            role=ROLE,
            at_ms=self._clock.unix_ms(),
            serving=report.serving,
            room=report.room,
            waits=dict(itertools.islice(report.waits.items(), MAX_WAITS)),
            young_deaths=report.young_deaths,
            held=dict(itertools.islice(report.held.items(), MAX_HELD)),
        )
