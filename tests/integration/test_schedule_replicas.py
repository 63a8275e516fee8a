"""Any number of processes fire the same schedules on a real broker; one of them sleeps, one is killed."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from processor.core.request_id import request_id
from processor.core.topics import INTAKE
from processor.dispatcher.service import GROUP as DISPATCHERS
from processor.executor.dedup import DEFAULT_WINDOW, Window
from processor.ops.processes import Role
from processor.transport.abstract import Record
from processor.transport.kafka import KafkaTransport
from tests.integration.pipeline import CALL_SEC, Pipeline
from triggers.abstract import Binding
from triggers.schedule.firing import firing_of
from triggers.schedule.settings import Schedule

pytestmark = pytest.mark.kafka

READY_SEC = 60.0
#: The processes begin with the second in which they are ready; all of them are by then.
LEAD_SEC = 3
DISPATCH_SEC = 90.0


def schedules(function: str, count: int) -> list[dict[str, Any]]:
    return [{"cron": "* * * * * *", "name": f"s{each}"} for each in range(count)]


class Replicas:
    """Some triggers roles on one installation, and its dispatcher in this process."""

    def __init__(self, pipeline: Pipeline, environment: dict[str, str], stack: ExitStack) -> None:
        self.pipeline = pipeline
        self._environment = environment
        self._stack = stack
        self._roles: list[Role] = []
        self.expected: dict[bytes, str] = {}

    def start(self, names: list[str]) -> list[Role]:
        self._roles = [self._role(name) for name in names]
        for role in self._roles:
            role.wait_for("ready triggers", READY_SEC)
        return self._roles

    def _role(self, name: str) -> Role:
        folder = self.pipeline.folder / name
        folder.mkdir()
        environment = {**self._environment, "HEADRACE_DATA_DIR": str(folder), "HEADRACE_EXECUTOR__NAME": name}
        role = Role(["start", "triggers"], environment, folder / "log")
        self._stack.callback(role.stop)
        return role

    def expect(self, function: str, entries: list[dict[str, Any]], nominal: range) -> None:
        for settings in entries:
            schedule = Schedule.of(Binding(function=function, creation=1, kind="schedule", settings=settings))
            for each in nominal:
                event = firing_of(schedule, each)
                self.expected[request_id(function, event.source, event.id).encode()] = f"{schedule.name} at {each}"

    def claimed(self, functions: list[str]) -> tuple[Counter[bytes], int]:
        """How often executors claim each expected run, going by their window; and how many deliveries there were.
        Ends the processes first: from then on nothing more comes.
        """
        for role in self._roles:
            role.stop()
        claims: Counter[bytes] = Counter()
        deliveries = 0
        windows: dict[tuple[str, int], Window] = {}
        for record in self._queued(functions):
            assert record.key is not None
            window = windows.setdefault((record.topic, record.partition), Window(DEFAULT_WINDOW))
            if record.key in self.expected:
                deliveries += 1
                claims[record.key] += record.key not in window
            window.add(record.key, record.offset, record.timestamp_ms)
        return claims, deliveries

    def _queued(self, functions: list[str]) -> Iterator[Record]:
        self._wait_for_dispatcher()
        for name in functions:
            yield from self.pipeline.read(f"queue.{name}.1")

    def _wait_for_dispatcher(self) -> None:
        """Until all that is on intake is in the queues."""
        admin, reader = self.pipeline.transport.admin(), self.pipeline.transport.reader()
        try:
            places = reader.partitions(INTAKE.name, CALL_SEC)
            ends = reader.bounds(places, CALL_SEC)
        finally:
            reader.close()
        deadline = time.monotonic() + DISPATCH_SEC
        while True:
            done = admin.committed(DISPATCHERS, places, CALL_SEC)
            if all(at is not None and at.offset >= ends[place].high for place, at in done.items()):
                return
            assert time.monotonic() < deadline, f"the dispatcher is at {done} of {ends}"
            time.sleep(0.2)


@contextmanager
def replicas(bootstrap: str, prefix: str, folder: Path) -> Iterator[Replicas]:
    environment = {
        "HEADRACE_TRANSPORT": "kafka",
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "HEADRACE_KAFKA__TOPIC_PREFIX": prefix,
        "HEADRACE_LOG__LEVEL": "WARNING",
    }
    with ExitStack() as stack:
        transport = stack.enter_context(KafkaTransport(bootstrap_servers=bootstrap, topic_prefix=prefix))
        pipeline = Pipeline(transport, folder)
        stack.callback(pipeline.close)
        yield Replicas(pipeline, environment, stack)


def wait_until(unix_sec: float) -> None:
    """The wall clock is what this is about."""
    time.sleep(max(unix_sec - time.time(), 0.0))


def test_two_processes_one_of_which_sleeps_and_one_is_killed_make_one_run_of_each_time(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    with replicas(kafka_bootstrap, topic_prefix, tmp_path) as site:
        entries = schedules("f", 50)
        events = tuple({"schedule": each} for each in entries)
        site.pipeline.deploy("f", "workloads:say", rate_per_sec=1e6, events=events)
        site.pipeline.dispatcher()
        sleeper, other = site.start(["sleeper", "other"])
        begin = int(time.time()) + LEAD_SEC
        site.expect("f", entries, range(begin, begin + 10))
        wait_until(begin + 2.5)
        sleeper.send(signal.SIGSTOP)
        wait_until(begin + 5.5)
        sleeper.send(signal.SIGCONT)
        wait_until(begin + 7.5)
        other.send(signal.SIGKILL)
        wait_until(begin + 10.5)
        claims, _ = site.claimed(["f"])
        assert len(claims) == 500
        assert set(claims.values()) == {1}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_thousand_schedules_a_second_in_three_processes_make_sixty_thousand_runs_in_a_minute(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    with replicas(kafka_bootstrap, topic_prefix, tmp_path) as site:
        functions = [f"f{each}" for each in range(10)]
        for name in functions:
            events = tuple({"schedule": each} for each in schedules(name, 100))
            site.pipeline.deploy(name, "workloads:say", rate_per_sec=1e6, events=events)
        site.pipeline.dispatcher()
        sleeper, victim, _ = site.start(["sleeper", "victim", "third"])
        begin = int(time.time()) + LEAD_SEC + 10
        for name in functions:
            site.expect(name, schedules(name, 100), range(begin, begin + 60))
        wait_until(begin + 10.5)
        sleeper.send(signal.SIGSTOP)
        wait_until(begin + 30.5)
        sleeper.send(signal.SIGCONT)
        wait_until(begin + 40.5)
        victim.send(signal.SIGKILL)
        wait_until(begin + 61)
        claims, deliveries = site.claimed(functions)
        print(f"{len(claims):,} runs of {deliveries:,} deliveries")  # noqa: T201  # shown by -s, and when it fails
        assert len(claims) == 60_000
        assert set(claims.values()) == {1}
