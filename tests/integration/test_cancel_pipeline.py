"""Cancelling what waits and what runs, with real instances on a real log."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processor.core.control import Cancel
from processor.core.ledger import Accepted, Ended, Started
from processor.core.run import Status, StatusCode
from processor.core.topics import CONTROL
from processor.transport.abstract import Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from tests.integration.pipeline import Pipeline, await_start, pipeline, starts

LIMIT_SEC = 30.0


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


def cancel(line: Pipeline, *runs: str, grace_sec: float = 0.0) -> None:
    producer = line.transport.producer()
    for run in runs:
        wanted = Cancel(request_id=run, grace_sec=grace_sec, by="test")
        producer.append(CONTROL.name, wanted.encode(), key=wanted.key, partition=0)
    producer.flush(LIMIT_SEC)
    producer.close()


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_SEC
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_cancelled(verdict: Ended) -> bool:
    error = verdict.error
    return (verdict.status, verdict.status_code, error and error.type) == (
        Status.ABORTED,
        StatusCode.CANCELLED,
        "Cancelled",
    )


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_run_is_killed_and_the_next_one_of_its_function_goes_on(line: Pipeline, journal: Path) -> None:
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)}, concurrency=1)
    line.dispatcher()
    line.executor()
    run = line.submit("work", {"sec": 600}, "1")
    pid = await_start(journal, run)
    cancel(line, run)
    after = line.submit("work", {}, "2")
    verdicts = line.wait_for_verdicts([run, after])
    assert is_cancelled(verdicts[run])
    assert is_gone(pid)
    assert verdicts[after].status is Status.FINISHED
    assert [type(each) for each in line.ledger(run)] == [Accepted, Started, Ended]
    until(lambda: line.open_intents() == [])


def test_with_grace_a_run_may_tidy_and_without_grace_the_whole_family_dies(line: Pipeline) -> None:
    line.deploy("tidy", "workloads:hangs_and_tidies")
    line.deploy("family", "workloads:leaves_a_family")
    line.dispatcher()
    line.executor(slots=2)
    tidy, family = line.submit("tidy", {}, "1"), line.submit("family", {"then": "hang"}, "1")
    until(lambda: "begun" in line.lines(tidy) and "family founded" in line.lines(family))
    cancel(line, tidy, grace_sec=LIMIT_SEC)
    cancel(line, family)
    verdicts = line.wait_for_verdicts([tidy, family])
    assert all(is_cancelled(each) for each in verdicts.values())
    assert "tidied" in line.lines(tidy), "and its result came too late"
    assert verdicts[tidy].result is None


def test_who_is_deaf_to_sigterm_is_killed_after_the_grace_or_at_once_when_asked_again(line: Pipeline) -> None:
    line.deploy("deaf", "workloads:hangs_deaf", concurrency=2)
    line.dispatcher()
    line.executor(slots=2)
    waits, hurried = line.submit("deaf", {}, "1"), line.submit("deaf", {}, "2")
    until(lambda: "begun" in line.lines(waits) and "begun" in line.lines(hurried))
    cancel(line, waits, grace_sec=0.3)
    cancel(line, hurried, grace_sec=600)
    assert is_cancelled(line.wait_for_verdicts([waits])[waits])
    cancel(line, hurried)
    assert is_cancelled(line.wait_for_verdicts([hurried])[hurried])


def test_an_executor_that_is_stopped_now_waits_for_no_grace(line: Pipeline) -> None:
    line.deploy("tidy", "workloads:hangs_and_tidies")
    line.deploy("deaf", "workloads:hangs_deaf")
    line.dispatcher()
    executor = line.executor()
    tidy, deaf = line.submit("tidy", {}, "1"), line.submit("deaf", {}, "1")
    until(lambda: "begun" in line.lines(tidy) and "begun" in line.lines(deaf))
    cancel(line, tidy, deaf, grace_sec=600)
    until(lambda: "tidied" in line.lines(tidy))
    executor.kill()
    assert executor.join(LIMIT_SEC)
    assert all(is_cancelled(each) for each in line.wait_for_verdicts([tidy, deaf]).values())
    assert line.open_intents() == []


def test_what_waits_is_ended_without_a_start_while_no_slot_is_free(line: Pipeline, journal: Path) -> None:
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)}, concurrency=1)
    line.dispatcher()
    line.executor(slots=1)
    running = line.submit("work", {"sec": 600}, "running")
    await_start(journal, running)
    waiting = [line.submit("work", {}, str(number)) for number in range(5)]
    cancel(line, *waiting)
    assert all(is_cancelled(each) for each in line.wait_for_verdicts(waiting).values())
    for run in waiting:
        assert Started not in map(type, line.ledger(run))
    cancel(line, running)
    line.wait_for_verdicts([running])
    assert starts(journal).keys() == {running}


def test_what_was_cancelled_before_anybody_knew_of_it_is_never_started(line: Pipeline, journal: Path) -> None:
    """Between intake and queue, and before any executor lives."""
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)})
    run, other = line.submit("work", {}, "1"), line.submit("work", {}, "2")
    cancel(line, run)
    line.dispatcher()
    line.executor()
    verdicts = line.wait_for_verdicts([run, other])
    assert is_cancelled(verdicts[run])
    assert starts(journal).keys() == {other}
    assert [type(each) for each in line.ledger(run)] == [Accepted, Ended]


def test_each_run_has_one_verdict_when_its_end_races_with_its_cancel(line: Pipeline, journal: Path) -> None:
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)}, concurrency=4)
    line.dispatcher()
    line.executor(slots=2)
    runs = []
    for number in range(60):
        runs.append(line.submit("work", {"sec": 0.05}, str(number)))
        if number % 3:
            cancel(line, runs[-1 - number % 7 :][0])
    verdicts = line.wait_for_verdicts(runs)
    assert {each.status_code for each in verdicts.values()} <= {StatusCode.OK, StatusCode.CANCELLED}
    until(lambda: line.open_intents() == [])
    for run in runs:
        ends = [each for each in line.ledger(run) if isinstance(each, Ended)]
        assert len(ends) == 1
        assert (ends[0].status_code is StatusCode.OK) <= (starts(journal)[run] == 1)
