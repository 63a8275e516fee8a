"""How much of each function may be claimed now (DESIGN 6, claim-ahead)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

#: Runs expected to take longer hold their slot: nothing is claimed ahead of them by anybody.
LONG_SEC = 1.0
#: Until a function has run once it counts as long: claimed one per free slot.
UNKNOWN_MEAN_SEC = 60.0
#: Claimed ahead at most, all functions of an executor together, however short their runs: what a kill of it can lose
#: unbegun. Half of it is a batch, which is worth its flush and commit also for runs of no length (`make bench`).
AHEAD_RUNS = 256
#: Weight of the newest duration in the mean: twenty runs forget a change of behaviour.
_NEWEST = 0.1
#: A no-op still costs this much of an executor; keeps claim-ahead and fairness finite.
MIN_MEAN_SEC = 0.0002


@dataclass(slots=True)
class FunctionLoad:
    """What this executor holds of one function, and how long its runs take."""

    #: Claimed and not ended, waiting for an instance or running.
    open: int = 0
    mean_sec: float = UNKNOWN_MEAN_SEC
    measured: bool = False
    #: Since when its runs are going on, by delivery.
    running: dict[str, float] = field(default_factory=dict)
    #: How many of them have taken long already, whatever the mean says: the mean knows only what has ended.
    overlong: int = 0

    @property
    def long(self) -> int:
        """Open runs that are not expected to end soon."""
        return self.open if self.mean_sec > LONG_SEC else self.overlong

    def ended(self, delivery: str, duration_sec: float, *, cut_off: bool = False) -> None:
        """cut_off: how long it would have taken is not known."""
        self.open -= 1
        if self.running.pop(delivery, None) is not None and duration_sec > LONG_SEC:
            self.overlong = max(self.overlong - 1, 0)
        if cut_off:
            return
        sample = max(duration_sec, MIN_MEAN_SEC)
        self.mean_sec = sample if not self.measured else self.mean_sec + _NEWEST * (sample - self.mean_sec)
        self.measured = True

    def left_over(self, queues: Collection[str]) -> int:
        """Runs that go on here, of queue partitions that are not among ours any more."""
        return sum(_queue(delivery) not in queues for delivery in self.running)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Of one function on this executor."""

    #: Runs at once: the function's concurrency, shared over its queue partitions, times those owned here; less what
    #: other executors still run of these, and more by what we still run of others'.
    concurrency: int
    claim_ahead_sec: float
    #: What other executors still run of the queue partitions owned here.
    elsewhere: int = 0


@dataclass(slots=True)
class Load:
    slots: int
    functions: dict[str, FunctionLoad] = field(default_factory=dict)
    #: As of the last look.
    full_since_sec: float | None = None

    def of(self, function: str) -> FunctionLoad:
        return self.functions.setdefault(function, FunctionLoad())

    @property
    def open(self) -> int:
        return sum(each.open for each in self.functions.values())

    def look(self, now_sec: float) -> None:
        """Which runs have become long since the last look, and whether it is full with them."""
        for each in self.functions.values():
            each.overlong = sum(now_sec - since_sec > LONG_SEC for since_sec in each.running.values())
        since_sec = now_sec if self.full_since_sec is None else self.full_since_sec
        self.full_since_sec = since_sec if self.full else None

    def held(self, now_sec: float, queues: Collection[str]) -> dict[str, int]:
        """Runs by queue partition that go on for long already, or whose partition is not among ours any more: what the
        next owner has to know of.
        """
        return Counter(
            _queue(delivery)
            for each in self.functions.values()
            for delivery, since_sec in each.running.items()
            if now_sec - since_sec > LONG_SEC or _queue(delivery) not in queues
        )

    def mean_sec(self, function: str) -> float:
        return self.of(function).mean_sec

    def allowance(self, function: str, limits: Limits) -> int:
        """How many more runs of it may be claimed: one per slot that it can get, and, where runs are short, as many
        again as the claim-ahead holds in work, within AHEAD_RUNS.

        Slots held by short runs of other functions count as free: they are, within claim_ahead_sec, and the pool
        serves functions in turn.
        """
        load = self.of(function)
        width = self.width(function, limits)
        if width <= 0:
            return 0
        ahead = min(self._work_ahead(load, width, limits), max(AHEAD_RUNS - (self.open - load.open), 0))
        if load.open >= width and load.open > (width + ahead) // 2:
            # Topping up one by one would pay a flush and a commit for each.
            return 0
        return max(width + ahead - load.open, 0)

    @property
    def batch_room(self) -> int:
        """How many runs may be claimed in one batch, all functions together; those who find all that may be claimed
        ahead claimed by others still get a slot each.
        """
        return max(AHEAD_RUNS + self.slots - self.open, self.slots)

    def width(self, function: str, limits: Limits) -> int:
        """How many runs of it can go on at once."""
        return min(limits.concurrency, self.slots - self._long_runs(function))

    @property
    def full(self) -> bool:
        """Every slot is held by a run that is not expected to end soon."""
        return self._long_runs("") >= self.slots

    @staticmethod
    def _work_ahead(load: FunctionLoad, width: int, limits: Limits) -> int:
        return int(limits.claim_ahead_sec * max(width - load.overlong, 0) / load.mean_sec) if load.measured else 0

    def _long_runs(self, but: str) -> int:
        """Slots that others hold for longer than a claim-ahead lasts."""
        return sum(each.long for name, each in self.functions.items() if name != but)


def _queue(delivery: str) -> str:
    return delivery.rpartition("/")[0]


def share_of(concurrency: int, partitions: int, owned: int) -> int:
    """The part of a function's concurrency that `owned` of its queue partitions stand for.

    Rounded down, so that the parts of all owners together never exceed the limit; but whoever owns a partition serves
    it, one run at a time at the least.
    """
    return max(concurrency * owned // partitions, 1) if owned else 0
