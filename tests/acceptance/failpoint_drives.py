"""What makes a process come by a failpoint, and what else has to hold then; one class for each Drive."""

from __future__ import annotations

import contextlib
import http.client
import signal
from concurrent.futures import ThreadPoolExecutor

import orjson
from confluent_kafka import Producer

from processor.cli.client import Client
from processor.core.errors import HeadraceError
from processor.core.topics import Keep, Topic
from processor.ops.object_stores import KEYS
from processor.ops.processes import CommandFailed
from tests.acceptance.callers import starts
from tests.acceptance.failpoint_cases import Case, Drive
from tests.acceptance.failpoint_load import Load
from tests.acceptance.failpoint_rig import CALL_SEC, SLOTS, Installation, settle
from tests.acceptance.http_api import ask
from tests.integration.storage_rig import Source
from tests.waiting import until

SCHEDULES = 9
#: More than there are slots, so some wait and some are claimed ahead.
LONG_RUNS = 6
LONG_SEC = 5.0
DISPATCHER = "dispatcher"


class Driver:
    """The load alone. Each method is called once, in this order, in the test's thread; `beside` again and again in
    another one, from `load` to the end of it.
    """

    #: What the load calls.
    function = "work"
    sec = 0.05

    def __init__(self, site: Installation, case: Case, name: str) -> None:
        self.site, self.case, self.name = site, case, name
        self.member = site.member_of(case.role)
        #: Acknowledged besides those of the load.
        self.runs: set[str] = set()

    def prepare(self) -> None:
        """The process does not run."""

    def beside(self, number: int, load: Load) -> None:
        """While the load goes on."""

    def armed(self, load: Load) -> None:
        """It runs, and has not come by yet; or it did already."""

    def finish(self, load: Load) -> None:
        """All runs, and the load goes on."""
        load.await_more()

    def quiet(self) -> None:
        """The load has been stopped."""

    def check(self) -> None:
        """All has ended."""


class Cancelling(Driver):
    function = "narrow"
    sec = 0.3

    def beside(self, number: int, load: Load) -> None:
        for run in list(load.caller.acknowledged.values())[-2:]:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                ask(self.site.port, "POST", f"/v1/runs/{run}/cancel", timeout_sec=3.0)


class Deploying(Driver):
    """The load calls a function that nobody knew before."""

    def __init__(self, site: Installation, case: Case, name: str) -> None:
        super().__init__(site, case, name)
        self.function = name
        self._deployed = False

    def prepare(self) -> None:
        self.site.add_function(self.name)

    def beside(self, number: int, load: Load) -> None:
        if not self._deployed:
            with contextlib.suppress(CommandFailed):
                self.site.deploy()
                self._deployed = True


class Garbage(Driver):
    def prepare(self) -> None:
        self.site.write_garbage()

    def check(self) -> None:
        assert self.site.has_rejected_garbage()


class Ticking(Driver):
    def prepare(self) -> None:
        entries = [{"schedule": {"name": f"s{each}", "cron": "* * * * * *"}} for each in range(SCHEDULES)]
        self.site.add_function(self.name, entries)
        self.site.deploy()

    def finish(self, load: Load) -> None:
        super().finish(load)
        until(lambda: self.site.subjects(self.name), "the schedules do not fire")

    def quiet(self) -> None:
        """They would fire for ever."""
        client = Client(f"http://127.0.0.1:{self.site.port}")

        def paused() -> bool:
            with contextlib.suppress(HeadraceError), ThreadPoolExecutor() as threads:
                ids = [each["id"] for each in client.triggers(function=self.name)]
                list(threads.map(lambda each: client.order_trigger(each, "pause"), ids))
                return all(each["state"] == "paused" for each in client.triggers(function=self.name))
            return False

        until(paused, "the schedules are not paused")


class Records(Driver):
    """A program of somebody else writes to a topic."""

    def prepare(self) -> None:
        self._topic, servers = self.site.broker_topic(f"source-{self.name}")
        self._written = 0
        wanted = {"topic": self._topic, "bootstrap_servers": servers, "start": "earliest", "group": self.name}
        self.site.add_function(self.name, [{"kafka": wanted}])
        self.site.deploy()
        with self.site.transport() as transport:
            transport.admin().create_topics([_source(self.name)], CALL_SEC)
        self._producer = Producer({"bootstrap.servers": servers, "acks": "all", "log_level": 0})

    def beside(self, number: int, load: Load) -> None:
        self._producer.produce(self._topic, str(number), partition=0)
        assert self._producer.flush(CALL_SEC) == 0
        self._written += 1

    def quiet(self) -> None:
        until(lambda: len(self.site.subjects(self.name)) >= self._written, "records are left")

    def check(self) -> None:
        assert len(self.site.subjects(self.name)) == self._written


def _source(name: str) -> Topic:
    return Topic(name=f"source-{name}", key="-", partitions=1, keep=Keep.UNTIL_CONSUMED)


class Messages(Driver):
    """Notifications of a bucket come through a queue."""

    source: Source

    def prepare(self) -> None:
        self.source.create_queue(VisibilityTimeout="2")
        self.site.environment.update(KEYS)
        self.site.add_function(self.name, [{"storage": self.source.settings()}])
        self.site.deploy()
        self._keys: list[str] = []

    def beside(self, number: int, load: Load) -> None:
        self._keys.append(f"{number}.txt")
        self.source.send(self.source.records(self._keys[-1]))

    def quiet(self) -> None:
        until(lambda: self.source.counts() == (0, 0), "messages are left")

    def check(self) -> None:
        assert sorted(self.site.subjects(self.name)) == sorted(self._keys)


class Stopping(Driver):
    """It is asked to stop when it has nothing more to do."""

    def armed(self, load: Load) -> None:
        load.await_more()
        load.stop()
        settle(self.site, load.runs)
        self.site.roles[self.member].send(signal.SIGTERM)

    def finish(self, load: Load) -> None:
        """The load is over already."""


class Booting(Driver):
    """An executor was killed while functions ran; its successor closes those runs before it begins."""

    victim = "executor"
    _rival = ""

    def prepare(self) -> None:
        self._kill_with_runs(self.site.member_of(self.victim))

    def finish(self, load: Load) -> None:
        if self._rival:
            self.site.start(self._rival)
        super().finish(load)

    def _stop_rival(self) -> None:
        """On a slow machine, recovery beside the dispatcher would be done before the successor has begun."""
        if DISPATCHER in self.site.roles:
            self._rival = DISPATCHER
            self.site.stop(DISPATCHER)

    def _kill_with_runs(self, member: str) -> None:
        if member not in self.site.roles:
            self.site.start(member)
        body = orjson.dumps({"sec": LONG_SEC, "lines": 2})
        answers = [ask(self.site.port, "POST", "/v1/functions/work/invocations", body) for _ in range(LONG_RUNS)]
        assert {each.status for each in answers} == {202}
        self.runs = {str(each.document["request_id"]) for each in answers}
        until(lambda: len(starts(self.site.journal).keys() & self.runs) >= SLOTS, "nothing runs")
        self._stop_rival()
        self.site.kill(member)


class OnDuty(Booting):
    """An executor was killed while functions ran, and stays dead: recovery closes those runs."""

    def prepare(self) -> None:
        """It has to run for that."""

    def armed(self, load: Load) -> None:
        self._kill_with_runs(self.victim)

    def _stop_rival(self) -> None:
        """It is the one that is wanted."""

    def finish(self, load: Load) -> None:
        self.site.start(self.victim)
        load.await_more()


DRIVERS: dict[Drive, type[Driver]] = {
    Drive.LOAD: Driver,
    Drive.CANCEL: Cancelling,
    Drive.DEPLOY: Deploying,
    Drive.GARBAGE: Garbage,
    Drive.TICKS: Ticking,
    Drive.RECORDS: Records,
    Drive.MESSAGES: Messages,
    Drive.STOP: Stopping,
    Drive.BOOT: Booting,
    Drive.DUTY: OnDuty,
}
