from __future__ import annotations

from processor.core.claims import STAMP_HEADER, Stamp, Vector
from processor.core.ledger import Position
from processor.core.request_id import request_id
from processor.core.run import StatusCode
from processor.executor.dedup import WindowPolicy
from processor.executor.partition import BUFFER_RECORDS, MAX_UNSTARTED, QueuePartition
from processor.transport.abstract import Record, TopicPartition

PARTITION = TopicPartition("queue.f.1", 0)
INTAKE = "id"


def run(name: str) -> str:
    return request_id("f", "s", name)


NAMES = {run(name): name for name in ("a", "b", "c", *(f"r{number}" for number in range(5)))}


def record(offset: int, name: str, intake: int, previous: int | None = None, *, accepted_at_ms: int = 0) -> Record:
    before = None if previous is None else (0, previous)
    stamp = Stamp("f", "v", INTAKE, Position(0, 0, intake), before, "data", accepted_at_ms)
    return Record(PARTITION.topic, 0, offset, 0, 1_000, run(name).encode(), b"{}", ((STAMP_HEADER, stamp.encode()),))


def owned(*, committed: int = 0, start: int = 0, vector: Vector | None = None) -> QueuePartition:
    return QueuePartition(
        PARTITION, "f", committed=committed, vector=vector or Vector(INTAKE), start=start, policy=WindowPolicy()
    )


def claimed(partition: QueuePartition, limit: int = 100) -> list[str]:
    plan = partition.plan(limit)
    if plan is None:
        return []
    partition.apply(plan)
    return [NAMES.get(taken.request_id, "") for taken in plan.taken]


def test_records_are_claimed_in_order_up_to_the_limit() -> None:
    partition = owned()
    for number in range(5):
        partition.offer(record(number, f"r{number}", number))
    assert claimed(partition, 2) == ["r0", "r1"]
    assert partition.committed == 2
    assert claimed(partition) == ["r2", "r3", "r4"]


def test_a_repeat_of_the_dispatcher_is_passed_over_and_counted() -> None:
    partition = owned()
    partition.offer(record(0, "a", 0))
    partition.offer(record(1, "a", 0))
    plan = partition.plan(10)
    assert plan is not None
    assert (len(plan.taken), plan.own_repeats, plan.next_offset) == (1, 1, 2)


def test_a_repeat_of_upstream_is_passed_over_within_one_batch_and_across_batches() -> None:
    partition = owned()
    partition.offer(record(0, "a", 0))
    partition.offer(record(1, "a", 5, 0))
    assert claimed(partition) == ["a"]
    partition.offer(record(2, "a", 9, 5))
    assert claimed(partition) == []
    assert partition.committed == 3


def test_repeats_at_the_front_are_passed_even_when_nothing_may_be_claimed() -> None:
    partition = owned()
    partition.offer(record(0, "a", 0))
    claimed(partition)
    partition.offer(record(1, "a", 0))
    partition.offer(record(2, "b", 1, 0))
    plan = partition.plan(0)
    assert plan is not None
    assert plan.next_offset == 2
    assert not plan.taken


def test_a_plan_that_is_not_applied_changes_nothing() -> None:
    partition = owned()
    partition.offer(record(0, "a", 0))
    assert partition.plan(10) is not None
    assert claimed(partition) == ["a"]


def test_a_record_without_a_stamp_is_passed_over_and_counted() -> None:
    partition = owned()
    partition.offer(Record(PARTITION.topic, 0, 0, 0, 0, b"k", b"v", ()))
    plan = partition.plan(10)
    assert plan is not None
    assert plan.undecodable == 1


def test_nothing_is_ready_before_the_window_is_rebuilt() -> None:
    vector = Vector(INTAKE, {0: (0, 1)})
    partition = owned(committed=2, start=0, vector=vector)
    assert not partition.ready
    partition.offer(record(0, "a", 0))
    partition.offer(record(1, "b", 1, 0))
    assert partition.ready
    partition.offer(record(2, "a", 9, 1))
    assert claimed(partition) == [], "a stood in the queue lately"


def test_a_record_dropped_for_a_hole_does_not_hide_the_copy_that_comes_after_a_takeover() -> None:
    vector = Vector(INTAKE, {0: (0, 0)})
    partition = owned(committed=2, start=0, vector=vector)
    partition.offer(record(0, "a", 0))
    # "c" followed the hole left by "b" (intake 1): passed over by the last owner, committed, and not taken.
    partition.offer(record(1, "c", 2, 1))
    partition.offer(record(2, "b", 1))
    partition.offer(record(3, "c", 2, 1))
    assert claimed(partition) == ["b", "c"]


def test_records_polled_again_after_a_resume_are_not_buffered_twice() -> None:
    partition = owned()
    partition.offer(record(0, "a", 0))
    partition.offer(record(0, "a", 0))
    assert partition.waiting == 1


def test_a_full_buffer_says_so_until_half_of_it_is_claimed() -> None:
    partition = owned()
    for number in range(BUFFER_RECORDS):
        partition.offer(record(number, f"r{number}", number))
    assert partition.full
    assert not partition.has_room
    claimed(partition, BUFFER_RECORDS // 2)
    assert partition.has_room


def test_what_waited_too_long_is_taken_beyond_the_limit_and_marked() -> None:
    partition = owned()
    for number in range(4):
        partition.offer(record(number, f"r{number}", number, accepted_at_ms=100 + number))
    plan = partition.plan(0, oldest_ms=102)
    assert plan is not None
    assert [each.unstarted for each in plan.taken] == [StatusCode.EXPIRED] * 2
    assert (plan.unstarted, plan.next_offset) == (2, 2)
    plan = partition.plan(1, oldest_ms=102)
    assert plan is not None
    assert [each.unstarted for each in plan.taken] == [StatusCode.EXPIRED, StatusCode.EXPIRED, None]


def test_one_batch_of_expired_events_is_bounded_and_nothing_behind_it_is_started() -> None:
    partition = owned()
    for number in range(MAX_UNSTARTED + 5):
        partition.offer(record(number, f"r{number}", number, accepted_at_ms=100))
    plan = partition.plan(10, oldest_ms=200)
    assert plan is not None
    assert (len(plan.taken), plan.unstarted) == (MAX_UNSTARTED, MAX_UNSTARTED)
    partition.apply(plan)
    plan = partition.plan(10, oldest_ms=200)
    assert plan is not None
    assert (len(plan.taken), plan.unstarted) == (5, 5)


def test_a_repeat_of_an_expired_event_is_passed_over() -> None:
    partition = owned()
    partition.offer(record(0, "a", 0, accepted_at_ms=100))
    partition.offer(record(1, "a", 1, 0, accepted_at_ms=100))
    plan = partition.plan(0, oldest_ms=200)
    assert plan is not None
    assert (len(plan.taken), plan.upstream_repeats) == (1, 1)
