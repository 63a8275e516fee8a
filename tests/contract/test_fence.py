"""What a commit's fence refuses, and what it does not (DESIGN 5)."""

from __future__ import annotations

from processor.transport.abstract import Committed, Outcome, Transport
from tests.contract.harness import EACH_PROTOCOL, Harness, create, numbered, write
from tests.contract.member import CALL_SEC, Member, until

pytestmark = EACH_PROTOCOL

#: The most that a broker takes with its defaults (offset.metadata.max.bytes counts one more for itself).
METADATA_LIMIT_BYTES = 4_095


def test_a_commit_and_its_metadata_are_read_back_by_the_next_owner_and_from_outside(transport: Transport) -> None:
    partition, never = create(transport, "t", partitions=2)
    write(transport, partition, numbered(5))
    metadata = "größe/" + "m" * 100
    with Member(transport, "g", ["t"]) as first:
        until(lambda: len(first.owned()) == 2, first)
        assert first.commit(partition, 0, metadata) is Outcome.YES
        assert first.commit(partition, 5, metadata) is Outcome.YES
        assert first.committed(partition) == Committed(5, metadata)
        expected = {partition: Committed(5, metadata), never: None}
        assert transport.admin().committed("g", [partition, never], CALL_SEC) == expected
    assert transport.admin().committed("g", [partition, never], CALL_SEC) == expected
    with Member(transport, "g", ["t"]) as second:
        until(lambda: len(second.owned()) == 2, second)
        assert second.committed_on_assign == expected


def test_one_commit_moves_many_partitions(transport: Transport) -> None:
    partitions = create(transport, "t", partitions=4)
    with Member(transport, "g", ["t"]) as member:
        until(lambda: len(member.owned()) == 4, member)
        offsets = {each: Committed(each.partition, str(each.partition)) for each in partitions}
        assert member.consumer.commit(offsets, CALL_SEC) == dict.fromkeys(partitions, Outcome.YES)
        assert member.consumer.committed(partitions, CALL_SEC) == offsets


def test_metadata_has_a_limit_and_others_of_the_request_are_applied(transport: Transport) -> None:
    partition, other = create(transport, "t", partitions=2)
    most = "m" * METADATA_LIMIT_BYTES
    with Member(transport, "g", ["t"]) as member:
        until(lambda: len(member.owned()) == 2, member)
        assert member.commit(partition, 1, most) is Outcome.YES
        outcomes = member.consumer.commit({partition: Committed(2, most + "m"), other: Committed(3, "")}, CALL_SEC)
        assert outcomes[partition] is not Outcome.YES
        assert outcomes[other] is not Outcome.NO
        assert member.committed(partition) == Committed(1, most)
        assert member.committed(other) == Committed(3, "")


def test_a_member_that_slept_through_its_eviction_is_refused(harness: Harness, transport: Transport) -> None:
    (partition,) = create(transport, "t")
    write(transport, partition, numbered(20))
    with harness.sleeper(transport, "g", "t") as victim:
        with Member(transport, "g", ["t"]) as heir:
            until(lambda: len(heir.received) == 20, heir)
            assert heir.commit(partition, 5, "heir") is Outcome.YES
            assert victim.commit(partition, 1, "victim") is Outcome.NO
            assert heir.committed(partition) == Committed(5, "heir")
            assert victim.calls_until("lost") == ["assign", "lost"]
            assert heir.commit(partition, 6, "heir") is Outcome.YES
        assert victim.calls_until("assign")[-1] == "assign"
        assert victim.commit(partition, 7, "back") is Outcome.YES


def test_what_a_sleeper_had_buffered_is_claimed_by_its_heir_only(harness: Harness, transport: Transport) -> None:
    partitions = create(transport, "t", partitions=2)
    for partition in partitions:
        write(transport, partition, numbered(5))
    with harness.sleeper(transport, "g", "t") as victim, Member(transport, "g", ["t"]) as heir:
        until(lambda: len(heir.buffer) == 10, heir)
        refused = {victim.commit(partition, 5, "victim") for partition in partitions}
        claimed = heir.claim()
        assert refused == {Outcome.NO}
        assert len(claimed) == 10
        assert {heir.committed(partition) for partition in partitions} == {Committed(5, "")}


def test_a_live_member_may_commit_what_it_does_not_own(transport: Transport) -> None:
    """The port's users rely on their own rules here; a transport that refused would hide a fault in them."""
    partitions = create(transport, "t", partitions=2)
    with Member(transport, "g", ["t"]) as first, Member(transport, "g", ["t"]) as second:
        until(lambda: len(first.owned()) == len(second.owned()) == 1, first, second)
        (foreign,) = set(partitions) - first.owned()
        assert second.commit(foreign, 5, "owner") is Outcome.YES
        assert first.commit(foreign, 3, "not the owner") is Outcome.YES
        assert second.committed(foreign) == Committed(3, "not the owner")


def test_who_is_not_a_member_may_commit_only_while_the_group_is_empty(transport: Transport) -> None:
    """Not asked of one that has left: of those, the embedded log takes it, and Kafka refuses its client's."""
    (partition,) = create(transport, "t")
    write(transport, partition, numbered(2))
    with Member(transport, "g", ["t"]) as outsider:  # joins at its first poll, which never comes
        assert outsider.commit(partition, 1, "outside") is Outcome.YES
        with Member(transport, "g", ["t"]) as other:
            until(lambda: bool(other.owned()), other)
            assert outsider.commit(partition, 2, "outside") is Outcome.NO
            assert other.committed(partition) == Committed(1, "outside")


def test_who_has_left_is_refused_once_the_group_has_members(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    write(transport, partition, numbered(2))
    with Member(transport, "g", ["t"]) as leaver:
        until(lambda: bool(leaver.owned()), leaver)
        assert leaver.commit(partition, 1, "member") is Outcome.YES
        leaver.consumer.leave()
        with Member(transport, "g", ["t"]) as other:
            until(lambda: bool(other.owned()), other)
            assert leaver.commit(partition, 2, "left") is Outcome.NO
            assert other.committed(partition) == Committed(1, "member")


def test_a_commit_before_a_partition_moves_is_seen_by_its_next_owner(transport: Transport) -> None:
    partitions = create(transport, "t", partitions=2)
    for partition in partitions:
        write(transport, partition, numbered(1))
    with Member(transport, "g", ["t"]) as old:
        until(lambda: len(old.owned()) == 2, old)
        for partition in partitions:
            assert old.commit(partition, 1, "old") is Outcome.YES
        with Member(transport, "g", ["t"]) as new:
            until(lambda: len(new.owned()) == len(old.owned()) == 1, old, new)
            (moved,) = new.owned()
            assert new.committed_on_assign == {moved: Committed(1, "old")}


def test_what_was_polled_and_not_claimed_is_committed_by_nobody(transport: Transport) -> None:
    """Else nobody would ever start it. Members that go, and one that is thrown away, are asked too."""
    partitions = create(transport, "t", partitions=2)
    for partition in partitions:
        write(transport, partition, numbered(10))
    with Member(transport, "g", ["t"]) as first:
        until(lambda: len(first.received) == 20, first)
        with Member(transport, "g", ["t"]) as second:
            until(lambda: len(first.owned()) == len(second.owned()) == 1, first, second)
        first.consumer.leave()
    committed = transport.admin().committed("g", partitions, CALL_SEC)
    assert committed == dict.fromkeys(partitions), "I2: what is skipped has no verdict"
