"""What the benchmark of broker outages counts, from a ledger and the handlers' own notes."""

from __future__ import annotations

from processor.core.ledger import Ended, Started
from processor.core.run import Delivery, StatusCode
from processor.ops.bench.fault_rig import Fact, started_twice, verdicts
from processor.ops.bench.faults_brokers import AllAway, of_leaders, of_outage
from processor.ops.bench.patient import Acknowledged, Told


def end(run: str, code: StatusCode = StatusCode.OK, result: bytes | None = None) -> Fact:
    entry = Ended(request_id=run, function="f", delivery=Delivery("q", 0, int(run)), status_code=code, result=result)
    return Fact(1.0, entry)


def start(run: str, executor: str) -> Fact:
    delivery = Delivery("q", 0, int(run))
    return Fact(1.0, Started(request_id=run, function="f", delivery=delivery, executor=executor, started_at_ms=0))


def outage(*facts: Fact, kept: tuple[str, ...] = ("1",)) -> AllAway:
    return of_outage(["1"], dict.fromkeys(kept, 15.0), list(facts), 10.0, 20.0)


def test_a_run_with_its_result_is_neither_killed_nor_lost_nor_wrong() -> None:
    found = outage(end("1", result=b'"1"'), end("1", result=b'"1"'))
    assert (found.ended_meanwhile, found.killed, found.results_lost, found.wrong_verdicts) == (1, 0, 0, 0)
    assert found.away_sec == 10.0


def test_a_run_that_did_not_come_to_its_end_was_killed() -> None:
    found = outage(end("1", StatusCode.INSTANCE_LOST), kept=())
    assert (found.ended_meanwhile, found.killed, found.results_lost, found.wrong_verdicts) == (0, 1, 0, 0)


def test_an_end_without_verdict_or_with_another_result_is_a_lost_one() -> None:
    assert outage().results_lost == 1
    assert outage(end("1")).results_lost == 1


def test_a_verdict_is_wrong_against_the_handlers_note_and_when_there_are_two() -> None:
    assert outage(end("1", StatusCode.INSTANCE_LOST)).wrong_verdicts == 1
    assert outage(end("1", result=b'"1"'), kept=()).wrong_verdicts == 1
    assert outage(end("1", result=b'"1"'), end("1", StatusCode.INSTANCE_LOST)).wrong_verdicts == 1


def test_acknowledged_and_not_on_the_ledger_is_lost() -> None:
    told = Told(acknowledged={"1": Acknowledged(5.0, 6.0), "2": Acknowledged(5.0, 9.0)})
    found = of_leaders(3, told, [end("1"), start("1", "a#1"), start("1", "b#1")])
    assert (found.kills, found.acknowledged, found.lost, found.without_verdict, found.started_twice) == (3, 2, 2, 1, 1)
    assert (found.longest_gap_sec, found.longest_wait_sec) == (3.0, 4.0)


def test_the_same_start_and_the_same_verdict_written_again_are_no_second_ones() -> None:
    facts = [start("1", "a#1"), start("1", "a#1"), end("1"), end("1")]
    assert started_twice(facts) == 0
    assert [len(each) for each in verdicts(facts).values()] == [1]
