"""Brokers that go away: the leader of each topic in turn under load, and all of them at once while runs go on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processor.core.ledger import Ended
from processor.core.run import Status
from processor.core.topics import TOPICS
from processor.ops.bench.fault_rig import (
    Fact,
    Ledger,
    Rig,
    acceptances,
    kafka_rig,
    start_executor,
    started_twice,
    until,
    verdicts,
)
from processor.ops.bench.figures import Figure
from processor.ops.bench.patient import Told, patient_load
from processor.ops.bench.site import NoBroker
from processor.ops.brokers import Brokers
from processor.transport.abstract import TransportError

PER_SEC = 500.0
#: Load before each kill, and how long the killed broker is away.
BEFORE_SEC = 2.0
LEADER_AWAY_SEC = 6.0
IN_SYNC_SEC = 60.0
DRAIN_SEC = 240.0
RUNS = 20
AWAY_SEC = 45.0
#: Of that, what three brokers take to start. They must be back before the executor gives its runs up
#: (`executor.isolation_limit_sec`, 60 s), also on a busy machine.
START_SEC = 4.0
#: Half of the runs end while the brokers are away, in these shares of that time; the others so long after it.
ENDS_FROM, ENDS_TO = 0.2, 0.75
AFTERWARDS_SEC = 10.0
NOOP, KEEP = "bench-noop", "bench-keep"
#: Of the groups' offsets: a claim is decided there.
OFFSETS_TOPIC = "__consumer_offsets"
LED = (*(each.name for each in TOPICS), f"queue.{NOOP}", OFFSETS_TOPIC)


@dataclass(frozen=True, kw_only=True, slots=True)
class LeadersKilled:
    kills: int
    acknowledged: int
    #: Acknowledged and not on the ledger.
    lost: int
    without_verdict: int
    started_twice: int
    longest_gap_sec: float
    longest_wait_sec: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AllAway:
    away_sec: float
    runs: int
    ended_meanwhile: int
    killed: int
    results_lost: int
    #: Another one than the handler's own notes say, or several.
    wrong_verdicts: int


@contextmanager
def three_brokers() -> Iterator[Brokers]:
    """Raises NoBroker outside a checkout."""
    try:
        from deploy.kafka.broker import LocalKafka
    except ImportError as error:
        raise NoBroker from error
    with tempfile.TemporaryDirectory() as folder, LocalKafka(data_dir=Path(folder), nodes=3) as kafka:
        yield Brokers(kafka)


def brokers_away() -> list[Figure]:
    """Blocks for some minutes."""
    with three_brokers() as brokers:
        return [*_figures_of_leaders(leaders_killed(brokers)), *_figures_of_outage(all_away(brokers))]


def leaders_killed(brokers: Brokers, *, per_sec: float = PER_SEC, topics: Sequence[str] = LED) -> LeadersKilled:
    """Blocks for some 15 s per topic."""
    with kafka_rig(brokers.bootstrap_servers) as (rig, ledger):
        rig.site.environment["HEADRACE_EXECUTOR__SLOTS"] = "4"
        start_executor(rig.site, "executor")
        rig.site.invoke(NOOP, {})  # its queue has to be there
        with patient_load(lambda: rig.site.port, NOOP, per_sec) as told:
            for topic in topics:
                _kill_leader(brokers, rig.prefix, topic)
            time.sleep(BEFORE_SEC)
        return of_leaders(len(topics), told, _drained(ledger, told.acknowledged))


def _kill_leader(brokers: Brokers, prefix: str, topic: str) -> None:
    """The next one only after the last one has caught up: two of three away is another fault."""
    brokers.await_in_sync(IN_SYNC_SEC)
    time.sleep(BEFORE_SEC)
    brokers.leaders_of(topic if topic == OFFSETS_TOPIC else prefix + topic)[0].kill()
    time.sleep(LEADER_AWAY_SEC)
    brokers.start()


def of_leaders(kills: int, told: Told, facts: list[Fact]) -> LeadersKilled:
    acknowledged = told.acknowledged.keys()
    accepted = {entry.request_id for _, entry in acceptances(facts)}
    return LeadersKilled(
        kills=kills,
        acknowledged=len(acknowledged),
        lost=len(acknowledged - accepted),
        without_verdict=len(acknowledged - verdicts(facts).keys()),
        started_twice=started_twice(facts),
        longest_gap_sec=told.longest_gap_sec(),
        longest_wait_sec=told.longest_wait_sec(),
    )


def _drained(ledger: Ledger, runs: Collection[str]) -> list[Fact]:
    """What is on the ledger once all of these have a verdict, or the time for it is over."""
    give_up_at = time.monotonic() + DRAIN_SEC
    while True:
        facts = _read(ledger)
        if set(runs) <= verdicts(facts).keys() or time.monotonic() > give_up_at:
            return facts
        time.sleep(0.5)


def _read(ledger: Ledger) -> list[Fact]:
    """Brokers that have just come back may not answer yet."""
    try:
        return ledger.facts()
    except TransportError:
        return []


def all_away(brokers: Brokers, *, runs: int = RUNS, away_sec: float = AWAY_SEC) -> AllAway:
    """Kills all brokers while runs go on, starts them again. Blocks for a minute longer than they are away."""
    with kafka_rig(brokers.bootstrap_servers) as (rig, ledger):
        rig.site.environment["HEADRACE_EXECUTOR__SLOTS"] = str(runs + 2)
        rig.deploy(KEEP, "keep")
        start_executor(rig.site, "executor")
        begun = _begin(rig, runs, away_sec)
        away_at = time.time()
        brokers.kill()
        time.sleep(away_sec - START_SEC)
        brokers.start()
        back_at = time.time()
        return of_outage(begun, rig.marks(KEPT), _drained(ledger, begun), away_at, back_at)


KEPT = "kept"


def _begin(rig: Rig, runs: int, away_sec: float) -> list[str]:
    """The long ones first; returns once all of them have begun."""
    many = runs - runs // 2
    shares = [ENDS_FROM + (ENDS_TO - ENDS_FROM) * number / many for number in range(many)]
    lengths_sec = [*[away_sec + AFTERWARDS_SEC] * (runs // 2), *(away_sec * share for share in reversed(shares))]
    begun = [rig.site.invoke(KEEP, {"sec": sec}) for sec in lengths_sec]
    until(lambda: rig.marks().keys() >= set(begun), "the runs did not start")
    return begun


def of_outage(
    runs: Sequence[str], kept: dict[str, float], facts: list[Fact], away_at: float, back_at: float
) -> AllAway:
    """kept: when each handler has come to its end, by its own note."""
    found = verdicts(facts)
    return AllAway(
        away_sec=back_at - away_at,
        runs=len(runs),
        ended_meanwhile=sum(away_at < kept.get(run, 0.0) < back_at for run in runs),
        killed=sum(run not in kept for run in runs),
        results_lost=sum(run in kept and not _has_result(found.get(run, []), run) for run in runs),
        wrong_verdicts=sum(not _is_true(found.get(run, []), kept=run in kept) for run in runs),
    )


def _has_result(ends: Sequence[Ended], run: str) -> bool:
    """The handler returns its RequestId."""
    return bool(ends) and (ends[0].result or b"") == f'"{run}"'.encode()


def _is_true(ends: Sequence[Ended], *, kept: bool) -> bool:
    return len(ends) == 1 and (ends[0].status is Status.FINISHED) is kept


def _figures_of_leaders(found: LeadersKilled) -> list[Figure]:
    under = f"{found.kills} leaders of 3 brokers killed under {PER_SEC:g}/s"
    return [
        _count(f"{under}: acknowledged lost, of {found.acknowledged}", found.lost),
        _count(f"{under}: without a verdict", found.without_verdict),
        _count(f"{under}: started twice", found.started_twice),
        _measured(f"{under}: longest time in which nothing was accepted", found.longest_gap_sec),
        _measured(f"{under}: longest wait of one event for its acknowledgement", found.longest_wait_sec),
    ]


def _figures_of_outage(found: AllAway) -> list[Figure]:
    away = f"all brokers away for {found.away_sec:.0f} s, {found.runs} runs, {found.ended_meanwhile} end meanwhile"
    return [
        _count(f"{away}: runs killed", found.killed),
        _count(f"{away}: results lost", found.results_lost),
        _count(f"{away}: wrong verdicts", found.wrong_verdicts),
    ]


def _count(name: str, value: int) -> Figure:
    return Figure(name=name, value=value, unit="", target=0, better="lower")


def _measured(name: str, value: float) -> Figure:
    return Figure(name=name, value=value, unit="s", target=None, better="lower")
