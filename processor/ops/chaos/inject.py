"""Carries a plan out: each fault at its time, on a thread of its own, and healed after its duration."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.ops.brokers import Brokers, NoLeader
from processor.ops.chaos.host import kill_process
from processor.ops.chaos.installation import Installation
from processor.ops.chaos.load import Throttle
from processor.ops.chaos.plan import BROKER, Fault, Injection, Plan
from processor.ops.chaos.proxy import Network

if TYPE_CHECKING:
    from deploy.kafka.broker import Node

BURST_FACTOR = 10.0
STORM_PAUSE_SEC = 0.3
STORM_RESTARTS = 3
HEAL_SEC = 180.0
HOUR_SEC = 3_600.0

_NETWORK = {
    Fault.CUT: Network.CUT,
    Fault.SILENCE: Network.SILENT,
    Fault.DELAY: Network.SLOW,
    Fault.LOSE_COMMIT_ANSWERS: Network.NO_COMMIT_ANSWERS,
    Fault.LOSE_APPEND_ANSWERS: Network.NO_APPEND_ANSWERS,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Happened:
    """A fault with its times on the log's clock."""

    injection: Injection
    begun_ms: int
    healed_ms: int
    #: There was nothing to inject it into.
    missed: bool = False
    #: What went wrong on the way or while healing.
    trouble: str = ""

    @property
    def applied(self) -> bool:
        return not self.missed

    def __str__(self) -> str:
        outcome = "missed" if self.missed else self.trouble
        return f"{self.injection}{f': {outcome}' if outcome else ''}"


class Missed(HeadraceError):
    """There was nothing to inject the fault into."""


class Injector:
    """run() blocks until the plan is done and everything is healed."""

    def __init__(self, site: Installation, throttle: Throttle, clock: Clock, say: Callable[[str], None]) -> None:
        self._site, self._throttle, self._clock, self._say = site, throttle, clock, say
        self._happened: list[Happened] = []
        self._chance = random.Random(site.options.seed)  # noqa: S311  # replayable, not secret

    def run(self, plan: Plan) -> list[Happened]:
        begun_sec = time.monotonic()
        threads = []
        for injection in plan.injections:
            time.sleep(max(begun_sec + injection.at_sec - time.monotonic(), 0.0))
            thread = threading.Thread(target=self._inject, args=(injection,), daemon=True)
            thread.start()
            threads.append(thread)
        time.sleep(max(begun_sec + plan.length_sec - time.monotonic(), 0.0))
        for thread in threads:
            thread.join(HEAL_SEC)
        self._heal()
        return sorted(self._happened, key=lambda each: each.begun_ms)

    def _inject(self, injection: Injection) -> None:
        begun_ms = self._clock.unix_ms()
        missed, trouble = False, ""
        try:
            self._act(injection)
        except Missed:
            missed = True
        except Exception as error:  # the run goes on without it, and says so
            trouble = f"{type(error).__name__}: {error}"
        happened = Happened(
            injection=injection, begun_ms=begun_ms, healed_ms=self._clock.unix_ms(), missed=missed, trouble=trouble
        )
        self._say(f"  {happened}")
        self._happened.append(happened)

    def _act(self, injection: Injection) -> None:
        fault, target, sec = injection.fault, injection.target, injection.duration_sec
        if fault in _NETWORK:
            self._network(target, _NETWORK[fault], sec)
        elif target == BROKER or fault is Fault.KILL_LEADER:
            self._broker(fault, target, sec)
        elif fault in (Fault.CLOCK_AHEAD, Fault.CLOCK_BEHIND):
            self._clock_off(target, HOUR_SEC if fault is Fault.CLOCK_AHEAD else -HOUR_SEC, sec)
        elif fault is Fault.FULL:
            self._full(sec)
        elif fault is Fault.BURST:
            self._burst(sec)
        else:
            self._process(fault, target, sec)

    def _process(self, fault: Fault, name: str, sec: float) -> None:
        host = self._site.host
        match fault:
            case Fault.KILL:
                host.kill(name)
                time.sleep(sec)
                host.start(name)
            case Fault.TERMINATE:
                host.terminate(name)
                host.start(name)
            case Fault.PAUSE:
                host.pause(name)
                time.sleep(sec)
                host.resume(name)
            case Fault.STORM:
                self._storm(name)
            case Fault.KILL_INSTANCE:
                self._kill_one(host.instances(name))
            case Fault.KILL_ZYGOTE:
                self._kill_one(host.zygotes(name))
            case _:
                self._kill_one(host.guards(name))

    def _storm(self, name: str) -> None:
        for _ in range(STORM_RESTARTS):
            self._site.host.kill(name)
            self._site.host.start(name)
            time.sleep(STORM_PAUSE_SEC)

    def _kill_one(self, pids: list[int]) -> None:
        if not pids:
            raise Missed
        kill_process(self._chance.choice(pids))

    def _network(self, name: str, network: Network, sec: float) -> None:
        proxies = self._site.proxies
        assert proxies is not None
        proxies.set(name, network)
        time.sleep(sec)
        proxies.set(name, Network.FINE)

    def _broker(self, fault: Fault, topic: str, sec: float) -> None:
        brokers = self._site.brokers
        assert brokers is not None
        if fault is Fault.PAUSE:
            brokers.pause()
            time.sleep(sec)
            brokers.resume()
            return
        if fault is Fault.KILL_LEADER:
            self._leader(brokers, topic).kill()
        else:
            brokers.kill()
        time.sleep(sec)
        brokers.start()

    def _leader(self, brokers: Brokers, topic: str) -> Node:
        try:
            return self._chance.choice(brokers.leaders_of(self._site.prefix + topic))
        except NoLeader as error:
            raise Missed from error

    def _clock_off(self, name: str, off_sec: float, sec: float) -> None:
        clock = self._site.clocks[name]
        clock.set(off_sec)
        time.sleep(sec)
        clock.set(0.0)

    def _full(self, sec: float) -> None:
        disk = self._site.disk
        assert disk is not None
        if not disk.fill():
            raise Missed
        time.sleep(sec)
        disk.make_room()

    def _burst(self, sec: float) -> None:
        self._throttle.factor = BURST_FACTOR
        time.sleep(sec)
        self._throttle.factor = 1.0

    def _heal(self) -> None:
        """What a fault that failed half way may have left."""
        if self._site.brokers is not None:
            self._site.brokers.resume()
            self._site.brokers.start()
        for clock in self._site.clocks.values():
            clock.set(0.0)
        if self._site.proxies is not None:
            self._site.proxies.heal()
        if self._site.disk is not None:
            self._site.disk.make_room()
        self._site.host.resume_all()
        self._site.host.start_all()
