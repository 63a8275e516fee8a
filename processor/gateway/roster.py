from __future__ import annotations

from dataclasses import dataclass

from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.inflight import Sign, SignKind
from processor.core.lifesigns import DECLARE_AFTER_SEC
from processor.transport.abstract import Record

#: Who is silent is still shown for so long.
KEEP_SEC = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A process as its last heartbeat has it."""

    sign: Sign
    heard_sec: float
    heard_ms: int
    dead: bool = False

    def state(self, now_sec: float) -> str:
        """serving, draining, silent, dead."""
        if self.dead:
            return "dead"
        if now_sec - self.heard_sec >= DECLARE_AFTER_SEC:
            return "silent"
        return "serving" if self.sign.serving else "draining"


class Roster:
    """Every process that beats on `instances`, the silent ones for a while too. Used on one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._members: dict[str, Member] = {}

    def members(self) -> list[Member]:
        """By role and name."""
        since_sec = self._clock.boottime() - KEEP_SEC
        self._members = {name: each for name, each in self._members.items() if each.heard_sec >= since_sec}
        return sorted(self._members.values(), key=lambda each: (each.sign.role, each.sign.process))

    def hear(self, record: Record) -> None:
        kind, _, process = (record.key or b"").decode("utf-8", "replace").partition(" ")
        try:
            sign = None if record.value is None else Sign.decode(record.value)
        except Undecodable:  # recovery says so
            return
        if sign is None:
            self._members.pop(process, None)
        elif kind == SignKind.DEAD.value:
            self._bury(process)
        else:
            self._members[process] = Member(sign=sign, heard_sec=self._clock.boottime(), heard_ms=record.timestamp_ms)

    def _bury(self, process: str) -> None:
        known = self._members.get(process)
        if known is not None:
            self._members[process] = Member(
                sign=known.sign, heard_sec=known.heard_sec, heard_ms=known.heard_ms, dead=True
            )
