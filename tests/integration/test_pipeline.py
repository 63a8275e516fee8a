from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.core.claims import STAMP_HEADER, Stamp
from processor.core.ledger import Accepted, Ended, Started
from processor.core.request_id import request_id
from processor.core.run import Status, StatusCode
from processor.core.topics import INTAKE, REJECTED
from processor.transport.abstract import Record, Transport
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


def test_an_event_on_intake_is_accepted_started_and_ended_in_this_order(line: Pipeline, journal: Path) -> None:
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)})
    line.dispatcher()
    line.executor()
    run = line.submit("work", {}, "1")
    verdict = line.wait_for_verdicts([run])[run]
    assert (verdict.status, verdict.result) == (Status.FINISHED, f'"{run}"'.encode())
    assert [type(each) for each in line.ledger(run)] == [Accepted, Started, Ended]


def test_many_events_of_several_functions_each_start_once_and_leave_no_intent(line: Pipeline, journal: Path) -> None:
    for name in ("one", "two", "three"):
        line.deploy(name, "journal:run", env={"JOURNAL": str(journal)})
    line.dispatcher()
    executor = line.executor()
    runs = [line.submit(name, {}, str(number)) for number in range(40) for name in ("one", "two", "three")]
    verdicts = line.wait_for_verdicts(runs)
    assert {each.status for each in verdicts.values()} == {Status.FINISHED}
    assert starts(journal) == Counter(runs)
    executor.stop()
    assert executor.join(30)
    assert line.open_intents() == []


def test_a_repeat_of_an_event_makes_no_second_delivery(line: Pipeline, journal: Path) -> None:
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)})
    line.dispatcher()
    line.executor()
    first, again = line.submit("work", {}, "same"), line.submit("work", {}, "same")
    other = line.submit("work", {}, "other")
    assert first == again
    line.wait_for_verdicts([first, other])
    assert sum(isinstance(each, Accepted) for each in line.ledger(first)) == 2
    assert sum(isinstance(each, Started) for each in line.ledger(first)) == 1
    assert starts(journal) == Counter([first, other])


def test_an_event_for_an_unknown_function_is_rejected_with_a_verdict_and_the_next_one_runs(
    line: Pipeline, journal: Path
) -> None:
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)})
    line.dispatcher()
    line.executor()
    lost, good = line.submit("nobody", {}, "1"), line.submit("work", {}, "1")
    verdicts = line.wait_for_verdicts([lost, good])
    assert verdicts[lost].status_code is StatusCode.FUNCTION_NOT_FOUND
    assert verdicts[good].status is Status.FINISHED
    reasons = [dict(each.headers)["reason"].decode() for each in line.read(REJECTED.name)]
    assert reasons == ["no function is named 'nobody': deploy it, then send the event again"]


def test_a_function_deployed_while_the_roles_run_serves_its_first_event(line: Pipeline, journal: Path) -> None:
    line.dispatcher()
    line.executor()
    line.deploy("late", "journal:run", env={"JOURNAL": str(journal)})
    run = line.submit("late", {}, "1")
    assert line.wait_for_verdicts([run])[run].status is Status.FINISHED


def test_a_stopped_executor_finishes_what_it_runs_and_claims_no_more(line: Pipeline, journal: Path) -> None:
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)})
    line.dispatcher()
    executor = line.executor("first")
    running = line.submit("work", {"sec": 1.0}, "1")
    await_start(journal, running)
    executor.stop()
    assert executor.join(30)
    later = line.submit("work", {}, "2")
    assert line.wait_for_verdicts([running])[running].status is Status.FINISHED
    assert later not in starts(journal)
    assert line.open_intents() == []
    line.executor("second")
    assert line.wait_for_verdicts([later])[later].status is Status.FINISHED


def test_an_executor_told_to_stop_now_ends_its_runs_with_verdicts(line: Pipeline, journal: Path) -> None:
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)})
    line.dispatcher()
    executor = line.executor()
    running = line.submit("work", {"sec": 50.0}, "1")
    await_start(journal, running)
    executor.kill()
    assert executor.join(30)
    assert line.wait_for_verdicts([running])[running].status_code is StatusCode.INSTANCE_LOST
    assert line.open_intents() == []


def test_a_killed_instance_is_told_truthfully_and_its_function_goes_on(line: Pipeline, journal: Path) -> None:
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)})
    line.dispatcher()
    line.executor()
    running = line.submit("work", {"sec": 50.0}, "1")
    os.kill(await_start(journal, running), signal.SIGKILL)
    verdict = line.wait_for_verdicts([running])[running]
    assert verdict.status_code is StatusCode.PROCESS_EXITED
    assert verdict.error is not None
    assert verdict.error.message.endswith("signal: killed")
    after = line.submit("work", {}, "2")
    assert line.wait_for_verdicts([after])[after].status is Status.FINISHED


def test_a_long_run_holds_up_neither_its_own_queue_nor_other_functions(line: Pipeline, journal: Path) -> None:
    line.deploy("long", "journal:run", env={"JOURNAL": str(journal)}, concurrency=2)
    line.deploy("short", "journal:run", env={"JOURNAL": str(journal)})
    line.dispatcher()
    line.executor(slots=3)
    await_start(journal, line.submit("long", {"sec": 50.0}, "for ever"))
    others = [line.submit(name, {}, str(number)) for number in range(10) for name in ("long", "short")]
    verdicts = line.wait_for_verdicts(others)
    assert {each.status for each in verdicts.values()} == {Status.FINISHED}


def test_two_executors_share_the_work_and_nothing_starts_twice(line: Pipeline, journal: Path) -> None:
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)})
    line.dispatcher()
    line.executor("a")
    runs = [line.submit("work", {"sec": 0.01}, f"early {number}") for number in range(50)]
    second = line.executor("b")
    runs += [line.submit("work", {"sec": 0.01}, f"late {number}") for number in range(100)]
    second.stop()
    runs += [line.submit("work", {"sec": 0.01}, f"after {number}") for number in range(50)]
    verdicts = line.wait_for_verdicts(runs)
    assert {each.status for each in verdicts.values()} == {Status.FINISHED}
    assert starts(journal) == Counter(runs)


def test_repeats_of_a_dispatcher_make_no_second_delivery(line: Pipeline, journal: Path) -> None:
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)})
    line.dispatcher()
    line.executor()
    run = line.submit("work", {}, "1")
    line.wait_for_verdicts([run])
    (queued,) = line.read(line.registry.view.all()[0].queue_topic)
    _put_into_queue(line, *[queued] * 3)
    later = line.submit("work", {}, "2")
    line.wait_for_verdicts([later])
    assert STAMP_HEADER in dict(queued.headers)
    assert starts(journal) == Counter([run, later])
    assert len(line.read(INTAKE.name)) == 2


def test_what_a_zombie_dispatcher_sends_after_a_hole_is_not_taken(line: Pipeline, journal: Path) -> None:
    line.deploy("work", "journal:run", env={"JOURNAL": str(journal)})
    line.dispatcher()
    line.executor()
    run = line.submit("work", {}, "1")
    line.wait_for_verdicts([run])
    (queued,) = line.read(line.registry.view.all()[0].queue_topic)
    stamp = Stamp.decode(dict(queued.headers)[STAMP_HEADER])
    epoch, offset = stamp.intake.order
    # What it sent before these is not in the queue.
    orphans = [
        stamp._replace(intake=stamp.intake._replace(offset=offset + ahead), previous=(epoch, offset + ahead - 1))
        for ahead in range(1_000, 1_003)
    ]
    _put_into_queue(
        line,
        *(
            queued._replace(
                key=request_id("work", "zombie", str(each.intake.offset)).encode(),
                headers=((STAMP_HEADER, each.encode()),),
            )
            for each in orphans
        ),
    )
    later = [line.submit("work", {}, str(number)) for number in range(2, 12)]
    line.wait_for_verdicts(later)
    assert starts(journal) == Counter([run, *later])


def _put_into_queue(line: Pipeline, *records: Record) -> None:
    producer = line.transport.producer()
    for each in records:
        producer.append(each.topic, each.value, key=each.key, partition=each.partition, headers=each.headers)
    producer.flush(10)
    producer.close()
