from __future__ import annotations

import threading

from processor.core.topics import Keep
from processor.transport.abstract import Committed, TopicPartition, Transport
from tests.contract.harness import EACH_PROTOCOL, create, numbered, write
from tests.contract.member import CALL_SEC, Member, Step, until

pytestmark = EACH_PROTOCOL


def test_a_lone_member_gets_every_partition_and_every_record(transport: Transport) -> None:
    partitions = create(transport, "t", partitions=3)
    for partition in partitions:
        write(transport, partition, numbered(20))
    with Member(transport, "g", ["t"]) as member:
        until(lambda: len(member.received) == 60, member)
        assert member.owned() == frozenset(partitions)
        for partition in partitions:
            values = [each.value for each in member.received if each.partition == partition.partition]
            assert values == numbered(20)


def test_members_share_a_leaver_gives_back_and_may_return(transport: Transport) -> None:
    partitions = frozenset(create(transport, "t", partitions=4))
    with Member(transport, "g", ["t"]) as first, Member(transport, "g", ["t"]) as second:
        until(lambda: _share(partitions, first, second), first, second)
        calls = second.calls()
        second.consumer.leave()
        assert second.owned() == frozenset()
        assert second.calls() == [*calls, "revoke"]
        until(lambda: first.owned() == partitions, first)
        second.consumer.subscribe(["t"])
        until(lambda: _share(partitions, first, second), first, second)


def test_a_closed_member_gives_back(transport: Transport) -> None:
    partitions = frozenset(create(transport, "t", partitions=4))
    with Member(transport, "g", ["t"]) as first:
        with Member(transport, "g", ["t"]) as second:
            until(lambda: _share(partitions, first, second), first, second)
        assert second.calls()[-1] == "revoke"
        until(lambda: first.owned() == partitions, first)


def test_two_groups_read_the_same_records(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    write(transport, partition, numbered(5))
    with Member(transport, "g", ["t"]) as one, Member(transport, "h", ["t"]) as other:
        until(lambda: len(one.received) == len(other.received) == 5, one, other)
        one.commit(partition, 5)
        assert other.committed(partition) is None


def test_members_of_one_group_may_subscribe_to_different_topics(transport: Transport) -> None:
    cpu = frozenset(create(transport, "cpu", partitions=2))
    gpu = frozenset(create(transport, "gpu", partitions=2))
    with Member(transport, "g", ["cpu"]) as plain, Member(transport, "g", ["cpu", "gpu"]) as large:
        until(lambda: _share(cpu | gpu, plain, large) and gpu <= large.owned(), plain, large)
        assert plain.owned() <= cpu


def test_a_topic_moves_between_subscriptions_with_offset_and_metadata(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    create(transport, "other")
    write(transport, partition, numbered(5))
    with Member(transport, "g", ["t"]) as old, Member(transport, "g", ["other"]) as new:
        until(lambda: len(old.received) == 5, old, new)
        old.commit(partition, 3, "so far")
        old.consumer.subscribe(["other"])
        new.consumer.subscribe(["t", "other"])
        until(lambda: partition in new.owned() and len(new.received) == 2, old, new)
        assert new.committed_on_assign[partition] == Committed(3, "so far")
        assert partition not in old.owned()


def test_a_topic_made_at_run_time_can_be_subscribed(transport: Transport) -> None:
    create(transport, "first")
    with Member(transport, "g", ["first"]) as member:
        until(lambda: len(member.owned()) == 1, member)
        (late,) = create(transport, "late")
        write(transport, late, numbered(3))
        member.consumer.subscribe(["first", "late"])
        until(lambda: len(member.received) == 3, member)
        assert late in member.owned()


def test_a_subscribed_topic_that_is_made_later_is_assigned(transport: Transport) -> None:
    create(transport, "first")
    with Member(transport, "g", ["first", "late"]) as member:
        until(lambda: len(member.owned()) == 1, member)
        (late,) = create(transport, "late")
        write(transport, late, numbered(3))
        until(lambda: len(member.received) == 3, member)


def test_an_empty_subscription_leaves_the_group(transport: Transport) -> None:
    partitions = frozenset(create(transport, "t", partitions=2))
    with Member(transport, "g", ["t"]) as first, Member(transport, "g", ["t"]) as second:
        until(lambda: _share(partitions, first, second), first, second)
        second.consumer.subscribe([])
        until(lambda: first.owned() == partitions, first, second)
        assert second.owned() == frozenset()
        assert second.turn() == []


def test_a_partition_is_revoked_before_its_next_owner_hears_of_it(transport: Transport) -> None:
    partitions = frozenset(create(transport, "t", partitions=4))
    journal: list[Step] = []
    with Member(transport, "g", ["t"], name="old", journal=journal) as old:
        until(lambda: old.owned() == partitions, old)
        with Member(transport, "g", ["t"], name="new", journal=journal) as new:
            until(lambda: _share(partitions, old, new), old, new)
            for partition in new.owned():
                calls = [(each.member, each.call) for each in journal if partition in each.partitions]
                assert calls == [("old", "assign"), ("old", "revoke"), ("new", "assign")]


def test_what_is_dropped_when_a_partition_is_revoked_is_claimed_once_by_the_next_owner(transport: Transport) -> None:
    partitions = create(transport, "t", partitions=4)
    for partition in partitions:
        write(transport, partition, numbered(10))
    with Member(transport, "g", ["t"]) as old:
        until(lambda: len(old.buffer) == 40, old)
        with Member(transport, "g", ["t"]) as new:
            until(lambda: _share(frozenset(partitions), old, new), old, new)
            until(lambda: len(new.buffer) == 10 * len(new.owned()), old, new)
            given_up = [each for each in old.received if TopicPartition(each.topic, each.partition) in new.owned()]
            assert len(given_up) == len(new.buffer)
            claimed = [(each.partition, each.offset) for each in old.claim() + new.claim()]
            assert sorted(claimed) == [(partition, offset) for partition in range(4) for offset in range(10)]


def test_a_member_that_has_not_polled_yet_holds_up_nobody(transport: Transport) -> None:
    partitions = frozenset(create(transport, "t", partitions=2))
    with Member(transport, "g", ["t"]), Member(transport, "g", ["t"]) as member:
        until(lambda: member.owned() == partitions, member)


def test_a_member_reads_on_from_where_it_says_when_assigned(transport: Transport) -> None:
    first, second, third = create(transport, "t", partitions=3, keep=Keep.UNTIL_CONSUMED)
    for partition in (first, second, third):
        write(transport, partition, numbered(10))
    transport.admin().delete_records({third: 2}, CALL_SEC)
    with Member(transport, "g", ["t"]) as earlier:
        until(lambda: len(earlier.owned()) == 3, earlier)
        earlier.commit(first, 1)
        earlier.commit(second, 5)
    with Member(transport, "g", ["t"], starts={first: 7}) as member:
        until(lambda: len(member.received) == 3 + 5 + 8, member)
        assert _offsets(member, first) == [7, 8, 9]
        assert _offsets(member, second) == [5, 6, 7, 8, 9]
        assert _offsets(member, third) == list(range(2, 10))


def test_a_paused_partition_is_silent_and_loses_nothing(transport: Transport) -> None:
    quiet, lively = create(transport, "t", partitions=2)
    write(transport, quiet, numbered(10))
    with Member(transport, "g", ["t"]) as member:
        until(lambda: bool(member.turn(max_records=1)))
        member.consumer.pause([quiet])
        before = len(_offsets(member, quiet))
        write(transport, lively, numbered(10))
        until(lambda: len(_offsets(member, lively)) == 10, member)
        member.turn()
        assert len(_offsets(member, quiet)) == before
        assert member.owned() == {quiet, lively}
        member.consumer.resume([quiet])
        until(lambda: len(_offsets(member, quiet)) == 10, member)
        assert _offsets(member, quiet) == list(range(10))


def test_a_partition_comes_back_unpaused(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    with Member(transport, "g", ["t"]) as member:
        until(lambda: bool(member.owned()), member)
        member.consumer.pause([partition])
        member.consumer.leave()
        write(transport, partition, numbered(3))
        member.consumer.subscribe(["t"])
        until(lambda: len(member.received) == 3, member)


def test_seek_goes_back_and_forth(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    write(transport, partition, numbered(10))
    with Member(transport, "g", ["t"]) as member:
        until(lambda: len(member.received) == 10, member)
        member.consumer.seek(partition, 4)
        until(lambda: len(member.received) == 16, member)
        assert _offsets(member, partition)[10:] == [4, 5, 6, 7, 8, 9]
        write(transport, partition, numbered(10, start=10))
        member.consumer.seek(partition, 18)
        until(lambda: _offsets(member, partition)[-2:] == [18, 19], member)


def test_polling_for_no_records_keeps_membership_and_takes_none(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    write(transport, partition, numbered(5))
    with Member(transport, "g", ["t"]) as member:
        until(lambda: member.consumer.poll(0, 0.05) == [] and bool(member.owned()))
        assert member.consumer.poll(0, 0.0) == []
        until(lambda: len(member.received) == 5, member)
        assert _offsets(member, partition) == [0, 1, 2, 3, 4]


def test_a_waiting_member_gets_what_is_appended_meanwhile(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    with Member(transport, "g", ["t"]) as member:
        until(lambda: bool(member.owned()), member)
        writer = threading.Thread(target=write, args=(transport, partition, [b"late"]))
        writer.start()
        assert [each.value for each in member.consumer.poll(100, CALL_SEC)] == [b"late"]
        writer.join()


def test_a_member_can_ask_for_bounds_and_times(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    write(transport, partition, numbered(4))
    with Member(transport, "g", ["t"]) as member:
        assert member.consumer.bounds([partition], CALL_SEC)[partition] == (0, 4)
        assert member.consumer.offsets_at([partition], 0, CALL_SEC) == {partition: 0}


def _share(partitions: frozenset[TopicPartition], first: Member, second: Member) -> bool:
    """Both own some, together all, none twice."""
    mine, theirs = first.owned(), second.owned()
    return bool(mine) and bool(theirs) and mine | theirs == partitions and not mine & theirs


def _offsets(member: Member, partition: TopicPartition) -> list[int]:
    return [each.offset for each in member.received if TopicPartition(each.topic, each.partition) == partition]
