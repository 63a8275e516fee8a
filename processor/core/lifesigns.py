"""Who lives, judged from the `instances` log alone (DESIGN 5.6). Times are CLOCK_BOOTTIME seconds."""

from __future__ import annotations

from dataclasses import dataclass

from processor.core.inflight import Sign, SignKind

#: An executor's heartbeat.
BEAT_EVERY_SEC = 3.0
#: Nothing starts after a longer gap between acknowledged heartbeats until the log was read for a `dead` mark.
HANDOVER_GAP_SEC = 10.0
#: Recovery declares dead what did not beat between two of its own beats this far apart. More than the gap above, so
#: that an executor that may still hand over cannot be declared dead.
DECLARE_AFTER_SEC = 12.0
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

    def acknowledged(self, sent_at_sec: float) -> None:
        """A heartbeat sent at that time is on the log."""
        if self._acknowledged_sec is None or sent_at_sec - self._acknowledged_sec > HANDOVER_GAP_SEC:
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


@dataclass(slots=True)
class _Silence:
    """Of one executor: our first beat since its last one, and whether a second one came late enough to judge."""

    since_sec: float | None = None
    judged: bool = False


class DeathWatch:
    """Recovery's side: reads `instances` in log order and says who is to be declared dead.

    Silence is measured in our OWN beats read back from the same partition, so an outage of the broker, which silences
    everybody alike, declares nobody.
    """

    def __init__(self, own_process: str) -> None:
        self._own = own_process
        self._watched: dict[str, _Silence] = {}
        self._dead: set[str] = set()

    def observe(self, sign: Sign, sent_at_sec: float | None = None) -> None:
        """The next record of the partition. sent_at_sec: for our own beats, when we sent it."""
        if sign.kind is SignKind.DEAD:
            self._dead.add(sign.process)
            self._watched.pop(sign.process, None)
        elif sign.process == self._own:
            if sent_at_sec is not None:
                self._own_beat(sent_at_sec)
        elif sign.role == "executor" and sign.process not in self._dead:
            self._watched[sign.process] = _Silence()

    def departed(self, process: str) -> None:
        """Its heartbeat was deleted: it stopped in order and left nothing open."""
        self._watched.pop(process, None)

    def _own_beat(self, sent_at_sec: float) -> None:
        for silence in self._watched.values():
            if silence.since_sec is None:
                silence.since_sec = sent_at_sec
            elif sent_at_sec - silence.since_sec >= DECLARE_AFTER_SEC:
                silence.judged = True

    def to_declare(self) -> list[str]:
        """Executors that were silent between two of our beats that are far enough apart."""
        return [process for process, silence in self._watched.items() if silence.judged]

    def dead(self) -> frozenset[str]:
        """Everybody that was ever declared dead on this log, by whomever."""
        return frozenset(self._dead)
