"""How much of each function may be claimed now, and why the rest waits (DESIGN 6)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from processor.core.function import Function
from processor.core.waits import Wait, WaitReason
from processor.executor.load import Limits, Load, share_of
from processor.executor.pace import Pace
from processor.executor.partition import Taken
from processor.registry.view import FunctionsView

_PAUSED = Wait(WaitReason.PAUSED)
_RATE = Wait(WaitReason.RATE)
_SLOTS = Wait(WaitReason.SLOTS)
NEVER_SEC = float("inf")


class _Look(NamedTuple):
    """How many of what waits of one function may be claimed now, and why no more."""

    wanted: int
    wait: Wait | None = None
    ready_at_sec: float = NEVER_SEC


class Flow:
    """The limits of all functions on one executor: paused, rate and concurrency, each shared over the function's queue
    partitions, and the slots of the host.

    waiting: records that could be claimed, by function.
    """

    def __init__(
        self,
        *,
        view: FunctionsView,
        load: Load,
        queues_of: Callable[[str], Collection[str]],
        held_elsewhere: Callable[[str], int] = lambda _: 0,
    ) -> None:
        """queues_of: which queue partitions of a function are ours. held_elsewhere: runs of one of them that go on with
        other executors.
        """
        self._view = view
        self._load = load
        self._queues_of = queues_of
        self._held_elsewhere = held_elsewhere
        self._paces: dict[str, Pace] = {}

    def limits(self, name: str) -> Limits:
        function = self._view.get(name)
        if function is None:
            return Limits(concurrency=0, claim_ahead_sec=0.0)
        queues = self._queues_of(name)
        share = share_of(function.concurrency, function.queue_partitions, len(queues))
        elsewhere = sum(map(self._held_elsewhere, queues))
        # Who has a run of a partition that went to somebody else must not be held up by it: its new owner is.
        concurrency = max(share - elsewhere, 0) + self._load.of(name).left_over(queues)
        return Limits(concurrency=concurrency, claim_ahead_sec=function.claim_ahead_sec, elsewhere=elsewhere)

    def wanted(self, waiting: Mapping[str, int], now_sec: float) -> tuple[dict[str, int], float]:
        """How many of each function may be claimed now; and when the pace of one, and nothing else, lets more of it."""
        looks = {name: self._look(name, count, now_sec) for name, count in waiting.items()}
        ready_at_sec = min((each.ready_at_sec for each in looks.values()), default=NEVER_SEC)
        return {name: each.wanted for name, each in looks.items()}, ready_at_sec

    def waits(self, waiting: Mapping[str, int], now_sec: float) -> dict[str, Wait]:
        """Why not all that waits may be claimed; without those of which all may."""
        looks = {name: self._look(name, count, now_sec) for name, count in waiting.items()}
        return {name: each.wait for name, each in looks.items() if each.wait and each.wanted < waiting[name]}

    def claimed(self, taken: Iterable[Taken]) -> None:
        """These are ours and will be started."""
        for each in taken:
            self._load.of(each.stamp.function).open += 1
            self._pace(each.stamp.function).charge(1)

    def oldest_ms(self, names: Iterable[str], log_now_ms: int | None) -> dict[str, int]:
        """For each function with a limit on its age: what was accepted before this time has waited too long.

        log_now_ms: the time on the log, whose clock has stamped the acceptance; not known yet, nothing is too old.
        """
        if log_now_ms is None:
            return {}
        functions = [each for name in names if (each := self._view.get(name)) is not None]
        return {
            each.name: log_now_ms - int(each.max_queue_age_sec * 1000)
            for each in functions
            if each.max_queue_age_sec is not None
        }

    def _look(self, name: str, waiting: int, now_sec: float) -> _Look:
        function = self._view.get(name)
        if function is None:
            return _Look(0)
        if function.paused:
            return _Look(0, _PAUSED)
        limits = self.limits(name)
        allowed = min(self._load.allowance(name, limits), waiting)
        pace, per_sec = self._pace(name), self._rate(function)
        paced = pace.allowance(per_sec, waiting, now_sec)
        if paced < allowed:
            return _Look(paced, _RATE, pace.ready_at_sec(per_sec, waiting, paced))
        return _Look(allowed, self._narrow(name, limits))

    def _narrow(self, name: str, limits: Limits) -> Wait:
        if limits.concurrency > self._load.width(name, limits):
            return _SLOTS
        # Running as the ledger says it: claimed. Of those that are claimed ahead no more than the limit run in fact.
        running = min(self._load.of(name).open, limits.concurrency) + limits.elsewhere
        return Wait(WaitReason.CONCURRENCY, running, limits.concurrency + limits.elsewhere)

    def _rate(self, function: Function) -> float:
        """Our part of it; whoever is asked about a function owns at least one of its partitions."""
        return function.rate_per_sec * max(len(self._queues_of(function.name)), 1) / function.queue_partitions

    def _pace(self, name: str) -> Pace:
        pace = self._paces.get(name)
        if pace is None:
            pace = self._paces[name] = Pace()
        return pace
