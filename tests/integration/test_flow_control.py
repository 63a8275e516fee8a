"""Pause, pace and age of queued events, over real transports and with real instances."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processor.core.ledger import Accepted, Ended, Started, decode
from processor.core.run import Status, StatusCode
from processor.core.topics import RUNS
from processor.transport.abstract import Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from tests.integration.pipeline import Pipeline, await_start, pipeline, starts


@pytest.fixture(params=["embedded", "kafka"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    if request.param == "embedded":
        made: Transport = EmbeddedTransport(tmp_path / "log")
    else:
        made = KafkaTransport(
            bootstrap_servers=request.getfixturevalue("kafka_bootstrap"),
            topic_prefix=request.getfixturevalue("topic_prefix"),
        )
    with made:
        yield made


@pytest.fixture
def line(transport: Transport, tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(transport, tmp_path) as made:
        yield made


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def wait_until(true: Callable[[], object]) -> None:
    """For what other threads write to the log."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def test_a_paused_function_loses_nothing_and_goes_on_in_order(line: Pipeline, journal: Path) -> None:
    for name in ("work", "other"):
        line.deploy(name, "journal:run", env={"JOURNAL": str(journal)}, concurrency=1)
    line.dispatcher()
    executor = line.executor()
    before = line.submit("work", {}, "before")
    line.wait_for_verdicts([before])
    line.registry.set_paused("work", True, actor="test")
    waiting = []
    for number in range(20):  # one after the other: what different intake partitions hold has no order
        waiting.append(line.submit("work", {}, str(number)))
        wait_until(lambda: line.ledger(waiting[-1]))
    line.wait_for_verdicts([line.submit("other", {}, "after them")])
    assert not starts(journal).keys() & set(waiting)
    executor.stop()
    line.executor("next")
    line.wait_for_verdicts([line.submit("other", {}, "with the next owner")])
    assert not starts(journal).keys() & set(waiting), "the next owner keeps it paused"
    line.registry.set_paused("work", False, actor="test")
    verdicts = line.wait_for_verdicts(waiting)
    assert {each.status for each in verdicts.values()} == {Status.FINISHED}
    begun = [each.split(" ")[0] for each in journal.read_text().splitlines() if each.endswith(" start")]
    assert [each for each in begun if each in set(waiting)] == waiting


def test_events_that_waited_too_long_end_408_while_the_only_slot_is_taken(line: Pipeline, journal: Path) -> None:
    line.deploy("long", "journal:run", env={"JOURNAL": str(journal)}, concurrency=1)
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)}, max_queue_age_sec=1.0)
    line.dispatcher()
    line.executor(slots=1)
    running = line.submit("long", {"sec": 50.0}, "for ever")
    await_start(journal, running)
    waiting = [line.submit("work", {}, str(number)) for number in range(10)]
    verdicts = line.wait_for_verdicts(waiting)
    assert {(each.status, each.status_code) for each in verdicts.values()} == {(Status.ABORTED, StatusCode.EXPIRED)}
    assert {each.error.type for each in verdicts.values() if each.error} == {"QueueAgeExceeded"}
    assert [type(each) for each in line.ledger(waiting[0])] == [Accepted, Ended]
    assert starts(journal).keys() == {running}
    wait_until(lambda: [each.request_id for each in line.open_intents()] == [running])


def test_starts_never_exceed_the_rate_and_nothing_is_lost(line: Pipeline, journal: Path) -> None:
    line.deploy("paced", "journal:run", env={"JOURNAL": str(journal)}, rate_per_sec=20.0)
    line.dispatcher()
    line.executor()
    runs = [line.submit("paced", {}, str(number)) for number in range(100)]
    verdicts = line.wait_for_verdicts(runs)
    assert {each.status for each in verdicts.values()} == {Status.FINISHED}
    records = [decode(each.value) for each in line.read(RUNS.name)]
    started_ms = sorted(each.started_at_ms for each in records if isinstance(each, Started))
    assert len(started_ms) == 100
    for number, at_ms in enumerate(started_ms, 1):
        most = 20.0 + 20.0 * (at_ms - started_ms[0]) / 1000
        assert number <= most + 2, f"{number} starts within {at_ms - started_ms[0]} ms"
