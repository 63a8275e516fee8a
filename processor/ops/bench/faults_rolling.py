"""Every role replaced by a new process beside the draining old one, while long runs go on."""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import dataclass

from processor.core.run import Status
from processor.ops.bench.fault_rig import Fact, Rig, kafka_rig, started_twice, until, verdicts
from processor.ops.bench.figures import Figure
from processor.ops.bench.patient import Told, patient_load
from processor.ops.bench.site import start_roles
from processor.ops.processes import Role

RUNS = 20
#: Ten minutes, scaled: longer than it takes to roll all roles `times` times.
LONG_SEC = 60.0
PER_SEC = 50.0
LIMIT_SEC = 240.0
DRAIN_SEC = 120.0
#: In the order in which they are replaced.
ROLES = ("triggers", "gateway", "executor", "dispatcher", "recorder")
NOOP, KEEP = "bench-noop", "bench-keep"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rolled:
    runs: int
    replaced: int
    #: Long runs that went on from before the first replacement until after the last one.
    through: int
    killed: int
    repeated: int
    #: Answers but 202.
    refused: int
    #: Requests on a connection that the old gateway has closed; sent again under the same key.
    unanswered: int
    acknowledged: int


def rolled(brokers: str, times: int) -> list[Figure]:
    """Once; that is 20 runs, whatever was asked for."""
    found = roll(brokers, times=1)
    name = f"{found.replaced} roles replaced while {found.through} of {found.runs} runs go on through all of it"
    return [
        _count(f"{name}: killed", found.killed),
        _count(f"{name}: repeated, with {found.acknowledged} short runs meanwhile", found.repeated),
        _count(f"{name}: refused", found.refused),
        Figure(name=f"{name}: unanswered", value=found.unanswered, unit="", target=None, better="lower"),
    ]


def roll(brokers: str, *, times: int, runs: int = RUNS, long_sec: float = LONG_SEC) -> Rolled:
    """Blocks for long_sec and about a minute. Raises NotReady."""
    with kafka_rig(brokers) as (rig, ledger):
        rig.site.environment["HEADRACE_EXECUTOR__SLOTS"] = str(runs + 4)
        rig.deploy(KEEP, "keep")
        start_roles(rig.site, "executor", "triggers")
        with patient_load(lambda: rig.site.port, NOOP, PER_SEC) as told:
            long = [rig.site.invoke(KEEP, {"sec": long_sec}) for _ in range(runs)]
            until(lambda: rig.marks().keys() >= set(long), "the long runs did not start")
            old = [_replace(rig, name) for _ in range(times) for name in ROLES]
        through = len(set(long) - rig.marks("kept").keys())
        for role in old:
            role.join(LIMIT_SEC)
        wanted = {*long, *told.acknowledged}
        until(lambda: wanted <= verdicts(ledger.facts()).keys(), "runs without a verdict", DRAIN_SEC)
        return _of(ledger.facts(), told, runs=len(long), replaced=len(old), through=through)


def _replace(rig: Rig, name: str) -> Role:
    """Returns the old one, which has been asked to stop and may still be draining."""
    old = rig.site.roles[name]
    start_roles(rig.site, name)
    old.send(signal.SIGTERM)
    return old


def _of(facts: list[Fact], told: Told, *, runs: int, replaced: int, through: int) -> Rolled:
    statuses = Counter(each[0].status for each in verdicts(facts).values())
    return Rolled(
        runs=runs,
        replaced=replaced,
        through=through,
        killed=statuses.total() - statuses[Status.FINISHED],
        repeated=started_twice(facts),
        refused=told.others.total() - told.others[0],
        unanswered=told.others[0],
        acknowledged=len(told.acknowledged),
    )


def _count(name: str, value: int) -> Figure:
    return Figure(name=name, value=value, unit="", target=0, better="lower")
