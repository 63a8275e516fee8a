"""A broker that is away for 30 s while a run of a minute is going on: work survives, and nothing starts twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.kafka.broker import LocalKafka
from processor.core.clock import SystemClock
from processor.core.ledger import Ended, decode, encode
from processor.core.lifesigns import GUARD_LIMIT_SEC
from processor.core.run import Status
from processor.core.topics import INFLIGHT, RUNS
from processor.executor.books import Books
from processor.executor.claims import Claims
from processor.executor.dedup import DEFAULT_WINDOW
from processor.executor.partition import Taken
from processor.transport.kafka import KafkaTransport
from tests.integration.pipeline import Pipeline, await_start, pipeline, starts

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]

AWAY_SEC = 30.0
LONG_SEC = 50.0


@pytest.fixture
def line(kafka: LocalKafka, topic_prefix: str, tmp_path: Path) -> Iterator[Pipeline]:
    transport = KafkaTransport(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix)
    with transport, pipeline(transport, tmp_path) as made:
        for name in ("work", "long"):
            made.deploy(name, "journal:run", env={"JOURNAL": str(tmp_path / "journal")})
        made.dispatcher()
        made.recovery()
        yield made


def hang(kafka: LocalKafka) -> None:
    kafka.node(1).pause()
    time.sleep(AWAY_SEC)
    kafka.node(1).resume()


def restart(kafka: LocalKafka) -> None:
    kafka.node(1).kill()
    time.sleep(AWAY_SEC)
    kafka.node(1).restart()


def assert_each_ended_once(line: Pipeline, journal: Path, long: str, others: list[str]) -> None:
    verdicts = line.wait_for_verdicts([long, *others], timeout_sec=90)
    assert (verdicts[long].status, verdicts[long].error) == (Status.FINISHED, None)
    started = starts(journal)
    assert set(started.values()) == {1}, "something started twice"
    finished = {run for run, verdict in verdicts.items() if verdict.status is Status.FINISHED}
    assert finished <= started.keys()
    ledger = [decode(each.value) for each in line.read(RUNS.name)]
    ended = {(entry.delivery, encode(entry)) for entry in ledger if isinstance(entry, Ended)}
    assert len(ended) == len({delivery for delivery, _ in ended}), "two verdicts: a repeat of the same one is none"
    assert {run: verdicts[run].error for run in others if run not in finished} == {}


class Trap(SystemClock):
    """Hangs the broker in the middle of a takeover: between two of the questions about an assignment."""

    def __init__(self, kafka: LocalKafka) -> None:
        self._kafka = kafka
        self._asked = 0

    @property
    def sprung(self) -> bool:
        return self._asked > 1

    def boottime(self) -> float:
        """Asked before the first question, for their time limit, and then for what is left of it."""
        self._asked += 1
        if self._asked == 2:
            self._kafka.node(1).pause()
        return super().boottime()


def test_a_broker_that_hangs_amid_a_takeover_keeps_the_loop_for_less_than_the_guard_waits(
    kafka: LocalKafka, line: Pipeline
) -> None:
    trap = Trap(kafka)
    books = Books(line.transport, line.clock)
    claims = Claims(
        transport=line.transport,
        books=books,
        clock=trap,
        executor="e#1",
        function_of=lambda _: "work",
        inflight_partitions=INFLIGHT.partitions,
        policy=DEFAULT_WINDOW,
    )
    try:
        claims.serve([line.registry.view.all()[0].queue_topic])
        waited = []
        for act in (claims.poll, claims.poll, lambda _: claims.leave()):
            while True:
                began_sec = line.clock.boottime()
                act(0.1)
                waited.append(line.clock.boottime() - began_sec)
                if trap.sprung:
                    break
        assert claims.must_rejoin or not claims.member
        assert max(waited) < GUARD_LIMIT_SEC - 3
    finally:
        kafka.node(1).resume()
        claims.close()
        books.close()


class HangsBehindIntents(Books):
    """The broker hangs when the intents are on the log and their commit is not yet sent."""

    kafka: LocalKafka | None = None

    def flush_urgent(self, timeout_sec: float) -> bool:
        flushed = super().flush_urgent(timeout_sec)
        if self.kafka is not None:
            self.kafka.node(1).pause()
        return flushed


def test_a_broker_that_hangs_amid_a_claim_keeps_the_loop_for_less_than_the_guard_waits(
    kafka: LocalKafka, line: Pipeline
) -> None:
    run = line.submit("work", {}, "1")
    books = HangsBehindIntents(line.transport, line.clock)
    claims = Claims(
        transport=line.transport,
        books=books,
        clock=line.clock,
        executor="e#1",
        function_of=lambda _: "work",
        inflight_partitions=INFLIGHT.partitions,
        policy=DEFAULT_WINDOW,
    )
    try:
        claims.serve([line.registry.view.all()[0].queue_topic])
        while not claims.waiting():
            claims.poll(0.1)
        books.kafka = kafka
        assert claims.claim({"work": 1}) == []
        waited = []
        for _ in range(6):
            began_sec = line.clock.boottime()
            assert claims.settle() == []
            waited.append(line.clock.boottime() - began_sec)
        assert max(waited) < GUARD_LIMIT_SEC / 2
        kafka.node(1).resume()
        ours: list[Taken] = []
        while not claims.settled:
            ours += claims.settle()
        assert [each.request_id for each in ours] == [run] or claims.undecided
    finally:
        kafka.node(1).resume()
        claims.close()
        books.close()


@pytest.mark.parametrize("away", [hang, restart])
def test_a_long_run_outlives_a_broker_that_is_away_while_nothing_else_happens(
    kafka: LocalKafka, line: Pipeline, tmp_path: Path, away: Callable[[LocalKafka], None]
) -> None:
    line.executor()
    long = line.submit("long", {"sec": LONG_SEC}, "long")
    await_start(tmp_path / "journal", long)
    away(kafka)
    later = line.submit("work", {}, "later")
    assert_each_ended_once(line, tmp_path / "journal", long, [later])


@pytest.mark.parametrize("away", [hang, restart])
def test_a_long_run_outlives_a_broker_that_goes_away_amid_claims(
    kafka: LocalKafka, line: Pipeline, tmp_path: Path, away: Callable[[LocalKafka], None]
) -> None:
    journal = tmp_path / "journal"
    line.executor()
    long = line.submit("long", {"sec": LONG_SEC}, "long")
    await_start(journal, long)
    others = [line.submit("work", {"sec": 0.005}, str(number)) for number in range(600)]
    await_start(journal, others[100])
    away(kafka)
    others.append(line.submit("work", {}, "later"))
    assert_each_ended_once(line, journal, long, others)


@pytest.mark.parametrize("away", [hang, restart])
def test_a_long_run_outlives_a_broker_that_goes_away_amid_a_rebalance(
    kafka: LocalKafka, line: Pipeline, tmp_path: Path, away: Callable[[LocalKafka], None]
) -> None:
    journal = tmp_path / "journal"
    line.executor("first", slots=1)
    long = line.submit("long", {"sec": LONG_SEC}, "long")
    await_start(journal, long)
    line.deploy("new", "journal:run", env={"JOURNAL": str(journal)})
    line.executor("second")
    time.sleep(0.2)  # members come and go now; no moment of it is better than another
    away(kafka)
    later = [line.submit(name, {}, "later") for name in ("new", "work", "long")]
    assert_each_ended_once(line, journal, long, later)
