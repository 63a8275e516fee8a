from __future__ import annotations

from processor.core.topics import Keep, Topic, queue_topic
from processor.transport.abstract import Committed, Transport
from tests.contract.harness import Harness, create, numbered, read, write
from tests.contract.member import CALL_SEC, Member, until


def test_topics_are_created_once(transport: Transport) -> None:
    admin = transport.admin()
    topics = [
        Topic(name="a", key="-", partitions=2, keep=Keep.COMPACT),
        Topic(name="b", key="-", partitions=1, keep=Keep.COMPACT_DELETE, retention_ms=86_400_000),
    ]
    assert admin.create_topics(topics[:1], CALL_SEC) == ["a"]
    assert admin.create_topics(topics, CALL_SEC) == ["b"]
    assert admin.create_topics(topics, CALL_SEC) == []
    assert dict(admin.topics(CALL_SEC)) == {"a": 2, "b": 1}


def test_a_created_topic_can_be_written_to_at_once(transport: Transport) -> None:
    for number in range(3):
        (partition,) = create(transport, f"queue.f.{number}", keep=Keep.UNTIL_CONSUMED)
        write(transport, partition, [b"x"])


def test_a_topic_deleted_and_made_again_is_another_topic(transport: Transport) -> None:
    admin = transport.admin()
    topic = queue_topic("t", 1)
    (partition,) = create(transport, "t", keep=Keep.UNTIL_CONSUMED)
    write(transport, partition, numbered(3))
    first = admin.topic_id("t", CALL_SEC)
    assert admin.topic_id("t", CALL_SEC) == first
    assert len(first) == 16
    admin.delete_topic("t", CALL_SEC)
    assert "t" not in admin.topics(CALL_SEC)
    assert admin.create_topics([topic], CALL_SEC) == ["t"]
    assert admin.topic_id("t", CALL_SEC) != first
    assert read(transport, [partition]) == []


def test_two_installations_do_not_see_each_other(harness: Harness) -> None:
    with harness.open("one.") as first:
        (partition,) = create(first, "t")
        write(first, partition, [b"of the first"])
        with Member(first, "g", ["t"]) as member:
            until(lambda: bool(member.received), member)
            member.commit(partition, 1, "first")
    with harness.open("two.") as second:
        assert dict(second.admin().topics(CALL_SEC)) == {}
        create(second, "t")
        assert read(second, [partition]) == []
        assert second.admin().committed("g", [partition], CALL_SEC) == {partition: None}
    with harness.open("one.") as again:
        assert dict(again.admin().topics(CALL_SEC)) == {"t": 1}
        assert [each.value for each in read(again, [partition])] == [b"of the first"]
        assert again.admin().committed("g", [partition], CALL_SEC) == {partition: Committed(1, "first")}
