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
#: Between the beginnings of two faults.
GAP_SEC = (0.8, 3.0)
BROKER = "broker"
DISK = "disk"
LOAD = "load"
SERVER = "server"
ROLES = ("recorder", "dispatcher-1", "dispatcher-2", "executor-1", "executor-2", "gateway", "triggers")
EXECUTORS = ("executor-1", "executor-2")


class Fault(Enum):
    KILL = "kill"
    TERMINATE = "terminate"
    PAUSE = "pause"
    STORM = "restart storm"
    KILL_INSTANCE = "kill instance"
    KILL_ZYGOTE = "kill zygote"
    KILL_GUARD = "kill guard"
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


#: Longer than 12 s without a sign is dead, longer than 10 s without a pet makes the guard kill.
_SHORT_AND_LONG_SEC = (2.0, 14.0)
_BACK_SEC = (0.0, 1.0, 3.0)
_NOW = (0.0,)


def make_plan(options: Options) -> Plan:
    """Every fault that the site allows once, in a random order, as far as there is time; then random ones."""
    chance = random.Random(options.seed)  # noqa: S311  # replayable, not secret
    menu = _menu(options)
    return Plan(options=options, injections=tuple(_injections(chance, menu, options.minutes * 60)))


def _menu(options: Options) -> list[_Choice]:
    menu = _of_processes(options.transport)
    if options.transport == "kafka" and options.own_broker:
        menu += _of_network()
    if options.small_disk:
        menu.append(_Choice(fault=Fault.FULL, targets=(DISK,), durations_sec=(1.0, 4.0), weight=2))
    menu.append(_Choice(fault=Fault.BURST, targets=(LOAD,), durations_sec=(2.0, 4.0), weight=2))
    return menu


def _of_processes(transport: str) -> list[_Choice]:
    """The first one is what nothing may do without."""
    roles, executors = ((SERVER,), (SERVER,)) if transport == "embedded" else (ROLES, EXECUTORS)
    return [
        _Choice(fault=Fault.KILL, targets=executors, durations_sec=(*_BACK_SEC, 14.0), weight=6),
        _Choice(fault=Fault.KILL, targets=roles, durations_sec=_BACK_SEC, weight=6),
        _Choice(fault=Fault.TERMINATE, targets=roles, durations_sec=_NOW, weight=2),
        _Choice(fault=Fault.PAUSE, targets=roles, durations_sec=_SHORT_AND_LONG_SEC, weight=5),
        _Choice(fault=Fault.PAUSE, targets=executors, durations_sec=_SHORT_AND_LONG_SEC, weight=2),
        _Choice(fault=Fault.STORM, targets=executors, durations_sec=(6.0,), weight=1),
        _Choice(fault=Fault.KILL_INSTANCE, targets=executors, durations_sec=_NOW, weight=5),
        _Choice(fault=Fault.KILL_ZYGOTE, targets=executors, durations_sec=_NOW, weight=1),
        _Choice(fault=Fault.KILL_GUARD, targets=executors, durations_sec=_NOW, weight=2),
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


def _injections(chance: random.Random, menu: list[_Choice], length_sec: float) -> Iterator[Injection]:
    first, rest = menu[0], menu[1:]
    chance.shuffle(rest)
    due = [first, *rest]
    free_at_sec: dict[str, float] = {}
    at_sec = WARM_UP_SEC
    while at_sec < length_sec - TAIL_SEC:
        choice = due.pop(0) if due else chance.choices(menu, [each.weight for each in menu])[0]
        targets = [each for each in choice.targets if free_at_sec.get(each, 0.0) <= at_sec]
        durations_sec = [each for each in choice.durations_sec if at_sec + each <= length_sec]
        if targets and durations_sec:
            target, duration_sec = chance.choice(targets), chance.choice(durations_sec)
            yield Injection(at_sec=round(at_sec, 2), fault=choice.fault, target=target, duration_sec=duration_sec)
            free_at_sec[target] = at_sec + duration_sec + _rest_sec(choice.fault)
        at_sec += chance.uniform(*GAP_SEC)


def _rest_sec(fault: Fault) -> float:
    if fault is Fault.TERMINATE:
        return STOP_SEC
    return RECOVER_SEC if fault in (Fault.KILL, Fault.STORM, Fault.PAUSE) else 0.5
