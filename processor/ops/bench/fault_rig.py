"""An installation whose processes are killed, and what its ledger says of when things happened."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson

from processor.core.clock import SystemClock
from processor.core.errors import HeadraceError, Undecodable
from processor.core.ledger import Accepted, Ended, LedgerRecord, Started, decode
from processor.core.topics import RUNS
from processor.ops.bench.site import Site, embedded, on_kafka
from processor.ops.processes import Role, descendants
from processor.transport.abstract import Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from processor.transport.replay import read_until

CODE = str(Path(__file__).parent / "functions")
READY_SEC = 60.0
LIMIT_SEC = 90.0
CALL_SEC = 30.0


class NothingHappened(HeadraceError):
    """What was to be measured did not happen in time."""


class Fact(NamedTuple):
    """A record of the ledger, and when the log took it (Unix seconds)."""

    at_sec: float
    entry: LedgerRecord


class Rig:
    """A site with the functions of this benchmark, and marks that they leave in a file."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.marks_file = site.folder / "marks"

    @property
    def prefix(self) -> str:
        """Of its topics."""
        return self.site.environment["HEADRACE_KAFKA__TOPIC_PREFIX"]

    def deploy(self, name: str, handler: str) -> None:
        document = {"handler": f"faults:{handler}", "code": CODE, "concurrency": 64, "env": self._env()}
        status, answer = self.site.request("PUT", f"/v1/functions/{name}", orjson.dumps(document))
        if status not in (200, 201):
            raise HeadraceError(f"{name} was not deployed: {status} {answer}")

    def _env(self) -> dict[str, str]:
        return {"MARKS": str(self.marks_file)}

    def marks(self, kind: str = "begun") -> dict[str, float]:
        """RequestId -> the handler's clock (Unix seconds) at its beginning; "kept": at its end, of `keep`."""
        lines = self.marks_file.read_text().splitlines() if self.marks_file.exists() else []
        marks = (line.split(" ") for line in lines)
        return {run: float(at) for run, at, what in marks if what == kind}

    def hold(self, count: int) -> list[str]:
        """That many runs that go on, all of them begun."""
        runs = [self.site.invoke("bench-hold", {"sec": 600.0}) for _ in range(count)]
        until(lambda: self.marks().keys() >= set(runs), "the runs did not start")
        return runs

    def status(self, run: str) -> str:
        _, document = self.site.request("GET", f"/v1/runs/{run}")
        return str((document or {}).get("status"))


def until(happened: Callable[[], bool], otherwise: str, limit_sec: float = LIMIT_SEC) -> None:
    give_up_at = time.monotonic() + limit_sec
    while not happened():
        if time.monotonic() > give_up_at:
            raise NothingHappened(otherwise)
        time.sleep(0.05)


def kill(role: Role) -> float:
    """SIGKILL to the process alone. Returns when (Unix seconds); its guard sees to the rest."""
    at_sec = time.time()
    role.send(signal.SIGKILL)
    role.stop()
    return at_sec


def kill_host(role: Role) -> float:
    """SIGKILL to the process and to everything below it, guard included, as if its machine had lost power."""
    below = descendants(role.pid)
    at_sec = time.time()
    role.send(signal.SIGKILL)
    for pid in below:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    role.stop()
    return at_sec


def start_executor(site: Site, name: str) -> Role:
    environment = {**site.environment, "HEADRACE_EXECUTOR__NAME": name}
    site.roles[name] = Role(["start", "executor"], environment, site.folder / f"{name}.log")
    site.roles[name].wait_for("ready executor", READY_SEC)
    return site.roles[name]


def start_dispatcher(site: Site, name: str) -> Role:
    site.roles[name] = Role(["start", "dispatcher"], site.environment, site.folder / f"{name}.log")
    site.roles[name].wait_for("ready dispatcher", READY_SEC)
    return site.roles[name]


@contextmanager
def kafka_rig(brokers: str) -> Iterator[tuple[Rig, Ledger]]:
    """Recorder, gateway and one dispatcher; whoever measures starts the rest."""
    with ExitStack() as stack:
        site = stack.enter_context(on_kafka(brokers, ("recorder", "dispatcher", "gateway")))
        rig = Rig(site)
        transport = stack.enter_context(KafkaTransport(bootstrap_servers=brokers, topic_prefix=rig.prefix))
        site.deploy()
        rig.deploy("bench-die", "die")
        rig.deploy("bench-hold", "hold")
        yield rig, stack.enter_context(closing(Ledger(transport)))


@contextmanager
def embedded_rig() -> Iterator[Rig]:
    with embedded() as site:
        rig = Rig(site)
        rig.deploy("bench-die", "die")
        rig.deploy("bench-hold", "hold")
        yield rig


def restart_dev(site: Site) -> None:
    """What a process manager does."""
    dead = site.roles["dev"]
    site.roles["dev"] = role = Role(dead.arguments, site.environment, site.folder / "dev.log")
    site.port = int(role.wait_for("ready gateway", READY_SEC).rpartition(":")[2])
    role.wait_for("ready dev", READY_SEC)


class Ledger:
    """What is on the ledger, in log order per partition; followed with one reader, since each costs connections."""

    def __init__(self, transport: Transport) -> None:
        self._facts: list[Fact] = []
        self._reader = transport.reader()
        self._partitions = self._reader.partitions(RUNS.name, CALL_SEC)
        self._reader.assign(dict.fromkeys(self._partitions, 0))

    def facts(self) -> list[Fact]:
        """Up to now."""
        ends = {each: bound.high for each, bound in self._reader.bounds(self._partitions, CALL_SEC).items()}
        for record in read_until(self._reader, ends, SystemClock(), timeout_sec=CALL_SEC):
            try:
                self._facts.append(Fact(record.timestamp_ms / 1000, decode(record.value)))
            except Undecodable:
                continue
        return self._facts

    def close(self) -> None:
        self._reader.close()


def embedded_ledger(site: Site) -> list[Fact]:
    """The same of an installation that has stopped."""
    with EmbeddedTransport(site.folder / "data" / "log") as transport, closing(Ledger(transport)) as ledger:
        return ledger.facts()


def ends(facts: list[Fact]) -> dict[str, float]:
    """RequestId -> when its first verdict was on the log."""
    found: dict[str, float] = {}
    for fact in facts:
        if isinstance(fact.entry, Ended):
            found[fact.entry.request_id] = min(fact.at_sec, found.get(fact.entry.request_id, fact.at_sec))
    return found


def verdicts(facts: list[Fact]) -> dict[str, list[Ended]]:
    """RequestId -> its verdicts, each once: the same one repeated is none."""
    found: dict[str, list[Ended]] = {}
    for _, entry in facts:
        if isinstance(entry, Ended) and entry not in found.setdefault(entry.request_id, []):
            found[entry.request_id].append(entry)
    return found


def started_twice(facts: list[Fact]) -> int:
    """RequestIds that were started by several executors, or from several entries of their queue."""
    pairs = {(entry.request_id, entry.delivery, entry.executor) for _, entry in starts(facts)}
    return len(pairs) - len({run for run, _, _ in pairs})


def void_verdicts(facts: list[Fact]) -> int:
    """Verdicts beyond the first of each delivery."""
    deliveries = [fact.entry.delivery for fact in facts if isinstance(fact.entry, Ended)]
    return len(deliveries) - len(set(deliveries))


def starts(facts: list[Fact]) -> list[tuple[float, Started]]:
    return sorted(((fact.at_sec, fact.entry) for fact in facts if isinstance(fact.entry, Started)), key=_first)


def acceptances(facts: list[Fact]) -> list[tuple[float, Accepted]]:
    return sorted(((fact.at_sec, fact.entry) for fact in facts if isinstance(fact.entry, Accepted)), key=_first)


def _first(pair: tuple[float, object]) -> float:
    return pair[0]
