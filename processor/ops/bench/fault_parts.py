"""One function per fault of the benchmark: does it a number of times and says how long it lasted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from processor.core.inflight import executor_name
from processor.core.request_id import partition_of
from processor.core.topics import INTAKE
from processor.ops.bench.fault_rig import (
    Fact,
    Ledger,
    Rig,
    acceptances,
    embedded_ledger,
    embedded_rig,
    ends,
    kafka_rig,
    kill,
    kill_host,
    restart_dev,
    start_dispatcher,
    start_executor,
    starts,
    until,
    void_verdicts,
)
from processor.ops.bench.figures import Figure, percentile
from processor.ops.processes import Role

#: Ways of a child to die.
WAYS = ("exit", "SIGKILL", "SIGSEGV")
#: Load under which partitions change hands: several events a second in each of them.
LOAD_EVERY_SEC = 0.03
HELD_RUNS = 2
#: For two dispatchers to have their parts of the intake; nothing on the log tells when.
SETTLE_SEC = 5.0
#: What is sent in this time after the kill of a dispatcher hits each partition of the intake.
AFTERWARDS_SEC = 1.0


def child_on_kafka(brokers: str, times: int) -> list[Figure]:
    with kafka_rig(brokers) as (rig, ledger):
        start_executor(rig.site, "executor")
        ways = _children(rig, 10 * times)
        return _child_figures("Kafka", ways, rig.marks(), ends(ledger.facts()))


def child_embedded(times: int) -> list[Figure]:
    with embedded_rig() as rig:
        ways = _children(rig, 10 * times)
        rig.site.stop()
        return _child_figures("embedded", ways, rig.marks(), ends(embedded_ledger(rig.site)))


def _children(rig: Rig, times: int) -> dict[str, str]:
    """Runs that have died, one after the other, and in which way."""
    _die(rig, "exit")  # the first one waits for a zygote
    return {_die(rig, way): way for _ in range(times) for way in WAYS}


def _die(rig: Rig, way: str) -> str:
    run = rig.site.invoke("bench-die", {"how": way})
    until(lambda: rig.status(run) == "FAILED", f"a run that died by {way} has no verdict")
    return run


def _child_figures(kind: str, ways: dict[str, str], died: dict[str, float], ended: dict[str, float]) -> list[Figure]:
    figures = []
    for way in WAYS:
        waits = [(ended[run] - died[run]) * 1000 for run in ways if ways[run] == way]
        name = f"child death by {way} to terminal record, {kind}, p99 of {len(waits)}"
        figures.append(Figure(name=name, value=percentile(waits, 0.99), unit="ms", target=200, better="lower"))
    return figures


def executor_restarted(brokers: str, times: int) -> list[Figure]:
    """Killed, and started again at once by its manager: its runs are closed at boot."""
    waits = []
    with kafka_rig(brokers) as (rig, ledger):
        role = start_executor(rig.site, "executor")
        for _ in range(times):
            runs = rig.hold(HELD_RUNS)
            at_sec = kill(role)
            role = start_executor(rig.site, "executor")
            waits.append(_closed_after(ledger, runs, at_sec))
        twice = void_verdicts(ledger.facts())
    name = f"executor killed and restarted to runs closed, Kafka, worst of {times}"
    return [
        Figure(name=name, value=max(waits), unit="s", target=2, better="lower"),
        Figure(name="verdicts beyond the first meanwhile", value=twice, unit="", target=0, better="lower"),
    ]


def process_restarted(times: int) -> list[Figure]:
    """The one process of the embedded transport: killed, and started again at once."""
    kills: list[tuple[float, list[str]]] = []
    with embedded_rig() as rig:
        for _ in range(times):
            runs = rig.hold(HELD_RUNS)
            kills.append((kill(rig.site.roles["dev"]), runs))
            restart_dev(rig.site)
            _await_failed(rig, runs)
        rig.site.stop()
        ended = ends(embedded_ledger(rig.site))
    waits = [max(ended[run] for run in runs) - at_sec for at_sec, runs in kills]
    name = f"process killed and restarted to runs closed, embedded, worst of {times}"
    return [Figure(name=name, value=max(waits), unit="s", target=2, better="lower")]


def _await_failed(rig: Rig, runs: list[str]) -> None:
    until(lambda: all(rig.status(run) == "FAILED" for run in runs), "runs were not closed")


def host_dead(brokers: str, times: int) -> list[Figure]:
    """Executor, guard and all below them killed; nothing is started again."""
    waits = []
    with kafka_rig(brokers) as (rig, ledger):
        for number in range(times):
            role = start_executor(rig.site, f"executor-{number}")
            runs = rig.hold(HELD_RUNS)
            waits.append(_closed_after(ledger, runs, kill_host(role)))
    name = f"host dead to runs closed, Kafka, worst of {times}"
    return [Figure(name=name, value=max(waits), unit="s", target=15, better="lower")]


def _closed_after(ledger: Ledger, runs: list[str], at_sec: float) -> float:
    until(lambda: ends(ledger.facts()).keys() >= set(runs), "runs of a dead executor were not closed")
    return max(each for run, each in ends(ledger.facts()).items() if run in runs) - at_sec


def executor_killed(brokers: str, times: int) -> list[Figure]:
    """One of two is killed: until the other has started something from each partition that it had."""
    waits = []
    with kafka_rig(brokers) as (rig, ledger):
        roles = {name: start_executor(rig.site, name) for name in ("executor-a", "executor-b")}
        with _load(rig):
            for number in range(times):
                name = sorted(roles)[number % 2]
                waits.append(_until_served_again(ledger, name, roles[name]))
                roles[name] = start_executor(rig.site, name)
    name = f"executor killed to its partitions served again, Kafka, worst of {times}"
    return [Figure(name=name, value=max(waits), unit="s", target=12, better="lower")]


def _until_served_again(ledger: Ledger, name: str, role: Role) -> float:
    until(lambda: bool(_partitions_of(name, ledger.facts())), f"{name} owns nothing")
    at_sec = kill(role)
    until(lambda: served_again(name, ledger.facts(), at_sec) is not None, "partitions are not served")
    return served_again(name, ledger.facts(), at_sec) or 0.0


def _partitions_of(name: str, facts: list[Fact], before_sec: float = float("inf")) -> set[tuple[str, int]]:
    """Queue partitions from which it was the last to start something."""
    last = {
        (entry.delivery.topic, entry.delivery.partition): executor_name(entry.executor)
        for at_sec, entry in starts(facts)
        if at_sec <= before_sec
    }
    return {partition for partition, owner in last.items() if owner == name}


def served_again(name: str, facts: list[Fact], at_sec: float) -> float | None:
    """Seconds until all partitions that it had were served by somebody else; None: not yet."""
    first: dict[tuple[str, int], float] = {}
    for start_sec, entry in starts(facts):
        if start_sec > at_sec and executor_name(entry.executor) != name:
            first.setdefault((entry.delivery.topic, entry.delivery.partition), start_sec)
    had = _partitions_of(name, facts, at_sec)
    return max(first[each] for each in had) - at_sec if first.keys() >= had else None


def dispatcher_killed(brokers: str, times: int) -> list[Figure]:
    """One of two is killed: the longest time in which nothing came from some intake partition."""
    waits = []
    with kafka_rig(brokers) as (rig, ledger):
        roles = {"dispatcher": rig.site.roles["dispatcher"], "dispatcher-2": start_dispatcher(rig.site, "dispatcher-2")}
        with _load(rig) as sent:
            for number in range(times):
                name = sorted(roles)[number % 2]
                waits.append(_standstill(ledger, roles[name], sent))
                roles[name] = start_dispatcher(rig.site, name)
    name = f"dispatcher killed to its partitions served again, Kafka, worst of {times}"
    return [Figure(name=name, value=max(waits), unit="s", target=12, better="lower")]


def _standstill(ledger: Ledger, role: Role, sent: dict[str, float]) -> float:
    time.sleep(SETTLE_SEC)
    at_sec = kill(role)
    until(lambda: _all_dispatched(sent, ledger.facts(), at_sec), "the intake is not read")
    return longest_gap(ledger.facts(), at_sec)


def _all_dispatched(sent: dict[str, float], facts: list[Fact], at_sec: float) -> bool:
    """What was sent in the time after the kill, in each partition of the intake."""
    until_sec = at_sec + AFTERWARDS_SEC
    if time.time() < until_sec:
        return False
    wanted = {run for run, each in list(sent.items()) if each < until_sec}
    return wanted <= {entry.request_id for _, entry in acceptances(facts)}


def longest_gap(facts: list[Fact], at_sec: float) -> float:
    last: dict[int, float] = {}
    longest = 0.0
    for accepted_sec, entry in acceptances(facts):
        partition = partition_of(entry.request_id, INTAKE.partitions)
        if accepted_sec > at_sec:
            longest = max(longest, accepted_sec - max(last.get(partition, at_sec), at_sec))
        last[partition] = accepted_sec
    return longest


@contextmanager
def _load(rig: Rig) -> Iterator[dict[str, float]]:
    """A steady trickle of events; RequestId -> when it was sent (Unix seconds)."""
    sent: dict[str, float] = {}
    over = threading.Event()

    def send() -> None:
        while not over.wait(LOAD_EVERY_SEC):
            at_sec = time.time()
            sent[rig.site.invoke("bench-noop", {})] = at_sec

    sender = threading.Thread(target=send, name="load", daemon=True)
    sender.start()
    try:
        yield sent
    finally:
        over.set()
        sender.join(70)
