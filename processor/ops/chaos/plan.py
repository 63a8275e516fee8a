"""What is done to the system, and when: a pure function of the options, so that a seed says it all."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

#: Load goes on for so long before the first fault and after the last one.
WARM_UP_SEC = 2.0
TAIL_SEC = 1.0
#: A target is left alone for so long after a fault: a process starts in a second or two, the group needs as long.
RECOVER_SEC = 4.0
#: Who is asked to stop finishes what it runs, and is started again then.
STOP_SEC = 8.0
#: Between the beginnings of two faults, unless the options say otherwise; and how far it spreads around that.
EVERY_SEC = 1.9
_SPREAD = (0.4, 1.6)
#: All nodes of it.
BROKER = "broker"
DISK = "disk"
LOAD = "load"
SERVER = "server"
TRIGGERS = "triggers"
ROLES = ("recorder", "dispatcher-1", "dispatcher-2", "executor-1", "executor-2", "gateway", TRIGGERS)
EXECUTORS = ("executor-1", "executor-2")
#: Topics, by the beginning of their names, whose leader is worth losing.
LED = ("intake", "queue.work", "runs", "inflight", "instances", "logs")


class Fault(Enum):
    KILL = "kill"
    TERMINATE = "terminate"
    PAUSE = "pause"
    STORM = "restart storm"
    KILL_INSTANCE = "kill instance"
    KILL_ZYGOTE = "kill zygote"
    KILL_GUARD = "kill guard"
    KILL_LEADER = "kill leader of"
    CLOCK_AHEAD = "clock an hour ahead in"
    CLOCK_BEHIND = "clock an hour behind in"
    CUT = "cut connections"
    SILENCE = "drop all bytes"
    DELAY = "delay bytes"
    LOSE_COMMIT_ANSWERS = "lose answers to commits"
    LOSE_APPEND_ANSWERS = "lose answers to appends"
    FULL = "full"
    BURST = "burst"


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """All that the plan depends on; printed with it."""

    seed: int
    minutes: float
    transport: str
    #: Events per second, all sources together.
    rate: float
    group_protocol: str
    #: The broker is ours: it may be killed and paused, and there are proxies before it.
    own_broker: bool
    #: The data folder is a small disk of its own.
    small_disk: bool
    #: Between two faults, on average.
    every_sec: float = EVERY_SEC
    #: Of a broker that is ours: 1 or 3.
    nodes: int = 1

    def document(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, kw_only=True, slots=True)
class Injection:
    """duration_sec: until it is healed; of a kill, until the process is started again."""

    at_sec: float
    fault: Fault
    target: str
    duration_sec: float

    def __str__(self) -> str:
        lasting = f" for {self.duration_sec:g} s" if self.duration_sec else ""
        return f"{self.at_sec:7.2f} s  {self.fault.value} {self.target}{lasting}"

    def document(self) -> list[Any]:
        return [self.at_sec, self.fault.value, self.target, self.duration_sec]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    options: Options
    injections: tuple[Injection, ...]

    @property
    def length_sec(self) -> float:
        return self.options.minutes * 60


@dataclass(frozen=True, kw_only=True, slots=True)
class _Choice:
    fault: Fault
    targets: Sequence[str]
    #: One of them is taken.
    durations_sec: Sequence[float]
    weight: int


#: Without a sign for 12 s it is dead (noticed some seconds later), without a pet for 10 s its guard kills.
_SHORT_AND_LONG_SEC = (2.0, 18.0)
_BACK_SEC = (0.0, 1.0, 3.0)
#: Longer than everything that life signs wait for, and shorter.
_CLOCK_SEC = (3.0, 14.0)
_NOW = (0.0,)


def make_plan(options: Options) -> Plan:
    """Every fault that the site allows once, in a random order, as far as there is time; then random ones."""
    chance = random.Random(options.seed)  # noqa: S311  # replayable, not secret
    menu = _menu(options)
    return Plan(options=options, injections=tuple(_injections(chance, menu, options)))


def _menu(options: Options) -> list[_Choice]:
    menu = _of_processes(options.transport)
    if options.transport == "kafka" and options.own_broker:
        menu += _of_network()
        if options.nodes > 1:
            menu.append(_Choice(fault=Fault.KILL_LEADER, targets=LED, durations_sec=(0.0, 3.0), weight=6))
    if options.small_disk:
        menu.append(_Choice(fault=Fault.FULL, targets=(DISK,), durations_sec=(1.0, 4.0), weight=2))
    menu.append(_Choice(fault=Fault.BURST, targets=(LOAD,), durations_sec=(2.0, 4.0), weight=2))
    return menu


def _of_processes(transport: str) -> list[_Choice]:
    """The first one is what nothing may do without."""
    roles, executors = ((SERVER,), (SERVER,)) if transport == "embedded" else (ROLES, EXECUTORS)
    return [
        _Choice(fault=Fault.KILL, targets=executors, durations_sec=(*_BACK_SEC, 18.0), weight=6),
        _Choice(fault=Fault.KILL, targets=roles, durations_sec=_BACK_SEC, weight=6),
        _Choice(fault=Fault.TERMINATE, targets=roles, durations_sec=_NOW, weight=2),
        _Choice(fault=Fault.PAUSE, targets=roles, durations_sec=_SHORT_AND_LONG_SEC, weight=5),
        _Choice(fault=Fault.PAUSE, targets=executors, durations_sec=_SHORT_AND_LONG_SEC, weight=2),
        _Choice(fault=Fault.STORM, targets=executors, durations_sec=(6.0,), weight=1),
        _Choice(fault=Fault.KILL_INSTANCE, targets=executors, durations_sec=_NOW, weight=5),
        _Choice(fault=Fault.KILL_ZYGOTE, targets=executors, durations_sec=_NOW, weight=1),
        _Choice(fault=Fault.KILL_GUARD, targets=executors, durations_sec=_NOW, weight=2),
        _Choice(fault=Fault.CLOCK_AHEAD, targets=roles, durations_sec=_CLOCK_SEC, weight=2),
        _Choice(fault=Fault.CLOCK_BEHIND, targets=roles, durations_sec=_CLOCK_SEC, weight=2),
    ]


def _of_network() -> list[_Choice]:
    return [
        _Choice(fault=Fault.KILL, targets=(BROKER,), durations_sec=(0.0, 3.0), weight=2),
        _Choice(fault=Fault.PAUSE, targets=(BROKER,), durations_sec=_SHORT_AND_LONG_SEC, weight=2),
        _Choice(fault=Fault.CUT, targets=ROLES, durations_sec=(0.0, 2.0, 14.0), weight=4),
        _Choice(fault=Fault.SILENCE, targets=ROLES, durations_sec=_SHORT_AND_LONG_SEC, weight=3),
        _Choice(fault=Fault.DELAY, targets=ROLES, durations_sec=(5.0,), weight=2),
        _Choice(fault=Fault.LOSE_COMMIT_ANSWERS, targets=EXECUTORS, durations_sec=(1.0, 7.0), weight=4),
        _Choice(fault=Fault.LOSE_COMMIT_ANSWERS, targets=ROLES[1:3], durations_sec=(1.0, 7.0), weight=2),
        _Choice(fault=Fault.LOSE_APPEND_ANSWERS, targets=ROLES, durations_sec=(1.0, 7.0), weight=4),
    ]


def _injections(chance: random.Random, menu: list[_Choice], options: Options) -> Iterator[Injection]:
    length_sec = options.minutes * 60
    first, rest = menu[0], menu[1:]
    chance.shuffle(rest)
    due = [first, *rest]
    free_at_sec: dict[str, float] = {}
    at_sec = WARM_UP_SEC
    while at_sec < length_sec - TAIL_SEC:
        choice = due.pop(0) if due else chance.choices(menu, [each.weight for each in menu])[0]
        targets = [each for each in choice.targets if free_at_sec.get(_victim(choice.fault, each), 0.0) <= at_sec]
        durations_sec = [each for each in choice.durations_sec if at_sec + each <= length_sec]
        if targets and durations_sec:
            target, duration_sec = chance.choice(targets), chance.choice(durations_sec)
            yield Injection(at_sec=round(at_sec, 2), fault=choice.fault, target=target, duration_sec=duration_sec)
            busy_sec = duration_sec + _rest_sec(choice.fault, target, options)
            free_at_sec[_victim(choice.fault, target)] = at_sec + busy_sec
        at_sec += options.every_sec * chance.uniform(*_SPREAD)


def _victim(fault: Fault, target: str) -> str:
    """Who must not have another fault at the same time: with two of three brokers down nothing would be accepted."""
    return BROKER if fault is Fault.KILL_LEADER else target


def _rest_sec(fault: Fault, target: str, options: Options) -> float:
    if fault is Fault.TERMINATE:
        return STOP_SEC
    if _victim(fault, target) == BROKER:
        return RECOVER_SEC * options.nodes
    return RECOVER_SEC if fault in (Fault.KILL, Fault.KILL_LEADER, Fault.STORM, Fault.PAUSE) else 0.5
