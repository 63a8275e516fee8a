"""Who lives, judged from the `instances` log alone (DESIGN 5.6). Times are CLOCK_BOOTTIME seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from processor.core.inflight import Sign, SignKind

#: An executor's heartbeat.
BEAT_EVERY_SEC = 3.0
#: Nothing starts after a longer gap between acknowledged heartbeats until the log was read for a `dead` mark.
HANDOVER_GAP_SEC = 10.0
#: Recovery declares dead what did not beat between two of its own beats this far apart. More than the gap above, so
#: that an executor that may still hand over cannot be declared dead.
DECLARE_AFTER_SEC = 12.0
#: Recovery's own heartbeat. A silence is measured from the first one after it began, so this is added to the 12 s.
WATCH_BEAT_SEC = 1.5
#: When recovery's own heartbeats come through further apart than this, the log was away for everybody: whatever silence
#: there was counts from here. Two lost beats of an executor.
OUTAGE_SEC = 2 * BEAT_EVERY_SEC
#: After this much silence the key of a recovery or gateway that was killed may go from the topic.
FORGET_AFTER_SEC = 600.0
#: A guard kills the instances of an executor that has not petted it for this long.
GUARD_LIMIT_SEC = 10.0
#: How long an executor cut off from the brokers lets its runs go on.
ISOLATION_LIMIT_SEC = 60.0


class HandOverCheck:
    """May this executor start a claimed run now? The executor's own side of the fence against recovery."""

    __slots__ = ("_acknowledged_sec", "_gap")

    def __init__(self) -> None:
        self._acknowledged_sec: float | None = None
        self._gap = True

    def acknowledged(self, sent_at_sec: float, now_sec: float | None = None) -> None:
        """A heartbeat sent at sent_at_sec is on the log, as is known since now_sec (None: since it was sent).

        It may have landed as late as now: only if that is within the limit of the one before it was there no silence on
        the log that recovery could have judged.
        """
        landed_sec = sent_at_sec if now_sec is None else now_sec
        if self._acknowledged_sec is None or landed_sec - self._acknowledged_sec > HANDOVER_GAP_SEC:
            self._gap = True
        self._acknowledged_sec = sent_at_sec

    def read_to_end(self, began_at_sec: float) -> None:
        """`instances` was read to its end, beginning at that time, and held no mark for us."""
        if self._acknowledged_sec is not None and began_at_sec >= self._acknowledged_sec:
            self._gap = False

    def passes(self, now_sec: float) -> bool:
        if self._acknowledged_sec is None or now_sec - self._acknowledged_sec > HANDOVER_GAP_SEC:
            self._gap = True
        return not self._gap

    def silent_for_sec(self, now_sec: float) -> float:
        """Seconds since the last heartbeat that is known to be on the log was sent."""
        return 0.0 if self._acknowledged_sec is None else now_sec - self._acknowledged_sec


class OwnBeat(NamedTuple):
    """A heartbeat of recovery itself: it landed on the log between these two times."""

    sent_sec: float
    durable_sec: float


class Silent(NamedTuple):
    """An executor to be declared dead, and the offset of its last heartbeat."""

    process: str
    after: int


@dataclass(slots=True)
class _Silence:
    """Of one executor: where its last beat stands, our first beat since then, and whether it is long enough."""

    after: int
    since_sec: float | None = None
    judged: bool = False
    declared: bool = False


class DeathWatch:
    """Recovery's side: reads `instances` in log order and says who is to be declared dead, and who is dead.

    Silence is measured in our OWN beats read back from the same partition, so an outage of the broker, which silences
    everybody alike, declares nobody.

    A mark for silence counts only where no beat stands between that silence and the mark. An executor that came back in
    just that moment may have looked for a mark before there was one, and goes on: its runs must not be closed. Who can
    not tell (compaction took the beats away) waits for a silence of his own.
    """

    def __init__(self, own_process: str) -> None:
        self._own = own_process
        self._own_durable_sec: float | None = None
        self._watched: dict[str, _Silence] = {}
        self._dead: dict[str, str] = {}
        #: Other recoveries and gateways, and our first beat since their last one.
        self._bystanders: dict[str, float | None] = {}

    def observe(self, sign: Sign, offset: int = 0, own: OwnBeat | None = None) -> None:
        """The next record of the partition. own: for our own beats of this life."""
        if sign.kind is SignKind.DEAD:
            self._mark(sign, offset)
        elif sign.process == self._own:
            if own is not None:
                self._own_beat(own)
        elif sign.role in ("recovery", "gateway"):
            self._bystanders[sign.process] = None
        elif sign.role == "executor" and sign.process not in self._dead:
            self._watched[sign.process] = _Silence(after=offset)

    def departed(self, process: str) -> None:
        """Its heartbeat was deleted: it stopped in order and left nothing open."""
        self._watched.pop(process, None)
        self._bystanders.pop(process, None)

    def gone(self) -> list[str]:
        """Recoveries and gateways that have not beaten for long, each once. They hold nothing: only their keys are in
        the way.
        """
        last_sec = self._own_durable_sec or 0.0
        gone = [
            process
            for process, since_sec in self._bystanders.items()
            if since_sec is not None and last_sec - since_sec >= FORGET_AFTER_SEC
        ]
        for process in gone:
            del self._bystanders[process]
        return gone

    def to_declare(self) -> list[Silent]:
        """Executors that were silent between two of our beats that are far enough apart; each silence once."""
        silent = [each for each in self._watched.items() if each[1].judged and not each[1].declared]
        for _, silence in silent:
            silence.declared = True
        return [Silent(process, silence.after) for process, silence in silent]

    def dead(self) -> Mapping[str, str]:
        """Everybody who is dead by a mark on this log, and who wrote the first mark that counts."""
        return self._dead

    def living(self) -> frozenset[str]:
        """Executors that beat and are neither dead nor departed; the silent ones too, until they are dead."""
        return frozenset(self._watched)

    def judged_at_sec(self) -> float | None:
        """When an own beat would be the first to end a silence; None while nobody is silent."""
        waiting = [each.since_sec for each in self._watched.values() if each.since_sec is not None and not each.judged]
        return min(waiting) + DECLARE_AFTER_SEC if waiting else None

    def _mark(self, sign: Sign, offset: int) -> None:
        silence = self._watched.get(sign.process)
        if sign.after is None or (silence is not None and silence.after <= sign.after):
            self._dead.setdefault(sign.process, sign.by)
            self._watched.pop(sign.process, None)
        elif silence is None and sign.process not in self._dead:
            self._watched[sign.process] = _Silence(after=offset)

    def _own_beat(self, beat: OwnBeat) -> None:
        before_sec, self._own_durable_sec = self._own_durable_sec, beat.durable_sec
        outage = before_sec is None or beat.durable_sec - before_sec > OUTAGE_SEC
        for silence in self._watched.values():
            if silence.since_sec is None or outage:
                silence.since_sec, silence.judged = beat.durable_sec, False
            elif beat.sent_sec - silence.since_sec >= DECLARE_AFTER_SEC:
                silence.judged = True
        for process, since_sec in self._bystanders.items():
            if since_sec is None or outage:
                self._bystanders[process] = beat.durable_sec
