from __future__ import annotations

from collections.abc import Iterable, Mapping

from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.inflight import Sign, SignKind, executor_name
from processor.core.topics import INSTANCES
from processor.core.waits import Wait, WaitReason
from processor.transport.abstract import Record, TopicPartition, Transport
from processor.transport.replay import read_to_end

#: Who has lived so long since it began to claim, or has ended so many runs, did not die young.
PROVEN_SEC = 60.0
PROVEN_RUNS = 100
#: After so many young deaths in a row it waits before it claims, twice as long with each further one. Fewer happen when
#: somebody tries things out.
PAUSE_AFTER_DEATHS = 4
FIRST_PAUSE_SEC = 1.0
MAX_PAUSE_SEC = 30.0
#: A death longer ago than this, by the log's clock, says nothing about the next life.
RECENT_MS = 600_000
READ_SEC = 10.0
_NO_LIMIT = 1 << 30


class Caution:
    """How much an executor may claim whose predecessors died young: what it claims is lost when it dies too.

    It claims one more run with each that has ended, so that it never loses many more than it gets done, and after
    several such deaths it waits before it begins. Time is an argument, CLOCK_BOOTTIME seconds.
    """

    def __init__(self, young_deaths: int, now_sec: float) -> None:
        """young_deaths: predecessors in a row that died before they were proven."""
        self.young_deaths = young_deaths
        self.pause_sec = 0.0
        if young_deaths >= PAUSE_AFTER_DEATHS:
            doublings = min(young_deaths - PAUSE_AFTER_DEATHS, 10)
            self.pause_sec = min(FIRST_PAUSE_SEC * 2.0**doublings, MAX_PAUSE_SEC)
        self._claims_at_sec = now_sec + self.pause_sec
        self._ended = 0

    def ended(self) -> None:
        """A run has come to its end, whichever."""
        self._ended += 1

    def may_claim(self, now_sec: float) -> bool:
        return now_sec >= self._claims_at_sec

    def room(self, open_runs: int, now_sec: float) -> int:
        """How many more runs may be claimed."""
        if not self.careful(now_sec):
            return _NO_LIMIT
        return max(1 + self._ended - open_runs, 0) if self.may_claim(now_sec) else 0

    def waits(self, found: Mapping[str, Wait], waiting: Iterable[str], now_sec: float) -> Mapping[str, Wait]:
        """Why the functions wait: what was found apart from this, and what is to be said while it is careful."""
        if not self.careful(now_sec):
            return found
        wait = Wait(WaitReason.CAUTION, self.young_deaths)
        paused = {name: each for name, each in found.items() if each.reason is WaitReason.PAUSED}
        return dict.fromkeys(waiting, wait) | paused

    def careful(self, now_sec: float) -> bool:
        return self.young_deaths > 0 and not self.proven(now_sec)

    def proven(self, now_sec: float) -> bool:
        return self._ended >= PROVEN_RUNS or now_sec - self._claims_at_sec >= PROVEN_SEC

    def if_it_died_now(self, now_sec: float) -> int:
        """Young deaths in a row, for the successor: in the heartbeats, since the dead cannot be asked."""
        return 0 if self.proven(now_sec) else self.young_deaths + 1


def young_deaths(transport: Transport, clock: Clock, name: str) -> int:
    """How many executors of this name died young in a row, up to now. Blocks for a read of `instances`. Raises
    TransportError.
    """
    reader = transport.reader()
    last: Record | None = None
    deaths, now_ms = 0, 0
    try:
        for record in read_to_end(reader, [TopicPartition(INSTANCES.name, 0)], clock, timeout_sec=READ_SEC):
            now_ms = max(now_ms, record.timestamp_ms)
            sign = _heartbeat(record)
            if sign is not None and sign.role == "executor" and executor_name(sign.process) == name:
                last, deaths = record, sign.young_deaths
            elif last is not None and record.value is None and record.key == last.key:
                deaths = 0  # it has stopped in order
    finally:
        reader.close()
    return deaths if last is not None and now_ms - last.timestamp_ms <= RECENT_MS else 0


def _heartbeat(record: Record) -> Sign | None:
    try:
        sign = None if record.value is None else Sign.decode(record.value)
    except Undecodable:  # recovery says so
        return None
    return sign if sign is not None and sign.kind is SignKind.HEARTBEAT else None
