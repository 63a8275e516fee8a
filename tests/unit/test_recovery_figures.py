from __future__ import annotations

from processor.core.ledger import Accepted, Ended, Position, Started
from processor.core.request_id import partition_of, request_id
from processor.core.run import Delivery, StatusCode
from processor.core.topics import INTAKE
from processor.ops.bench.fault_parts import longest_gap, served_again
from processor.ops.bench.fault_rig import Fact, ends, void_verdicts


def start(at_sec: float, partition: int, executor: str) -> Fact:
    delivery = Delivery("queue.f.1", partition, int(at_sec * 10))
    entry = Started(request_id="r", function="f", delivery=delivery, executor=f"{executor}#1", started_at_ms=0)
    return Fact(at_sec, entry)


def end(at_sec: float, offset: int) -> Fact:
    delivery = Delivery("queue.f.1", 0, offset)
    return Fact(
        at_sec, Ended(request_id=f"r{offset}", function="f", delivery=delivery, status_code=StatusCode.INSTANCE_LOST)
    )


def accept(at_sec: float, partition: int) -> Fact:
    run = next(
        run
        for number in range(1_000)
        if partition_of(run := request_id("f", "s", str(number)), INTAKE.partitions) == partition
    )
    entry = Accepted(
        request_id=run,
        function="f",
        version="1",
        trigger="t",
        source="s",
        event_id="1",
        subject=None,
        accepted_at_ms=0,
        intake=Position(partition, 0, 0),
    )
    return Fact(at_sec, entry)


def test_partitions_are_served_again_when_somebody_else_has_started_from_the_last_of_them() -> None:
    facts = [start(1.0, 0, "a"), start(1.0, 1, "a"), start(1.0, 2, "b"), start(5.0, 0, "b")]
    assert served_again("a", facts, 2.0) is None
    assert served_again("a", [*facts, start(9.0, 1, "b")], 2.0) == 7.0


def test_what_the_killed_one_still_wrote_serves_nothing() -> None:
    assert served_again("a", [start(1.0, 0, "a"), start(2.5, 0, "a")], 2.0) is None


def test_the_longest_gap_of_any_intake_partition_counts_from_the_kill() -> None:
    facts = [accept(1.0, 0), accept(1.0, 1), accept(2.5, 0), accept(9.0, 1), accept(9.1, 0)]
    assert longest_gap(facts, 2.0) == 7.0


def test_the_first_verdict_of_a_delivery_counts_and_the_others_are_void() -> None:
    facts = [end(1.0, 1), end(2.0, 1), end(3.0, 2)]
    assert ends(facts) == {"r1": 1.0, "r2": 3.0}
    assert void_verdicts(facts) == 1
