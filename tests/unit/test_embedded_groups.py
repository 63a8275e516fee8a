from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

from processor.core.clock import ManualClock
from processor.core.topics import Keep, Topic
from processor.transport.abstract import Committed, Outcome, RebalanceListener, TopicPartition
from processor.transport.embedded import EmbeddedTransport

_TOPIC = Topic(name="t", key="-", partitions=2, keep=Keep.UNTIL_CONSUMED)
_PLACES = frozenset(TopicPartition("t", number) for number in range(2))
_FIRST = TopicPartition("t", 0)
_CALL_SEC = 10.0
_SESSION_SEC = 6.0


class _Noting(RebalanceListener):
    def __init__(self) -> None:
        self.calls: list[tuple[str, frozenset[TopicPartition]]] = []
        self.assigned = threading.Event()

    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.calls.append(("assign", frozenset(partitions)))
        self.assigned.set()
        return {}

    def on_revoke(self, partitions: Collection[TopicPartition]) -> None:
        self.calls.append(("revoke", frozenset(partitions)))

    def on_lost(self, partitions: Collection[TopicPartition]) -> None:
        self.calls.append(("lost", frozenset(partitions)))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def transport(tmp_path: Path, clock: ManualClock) -> Iterator[EmbeddedTransport]:
    with EmbeddedTransport(tmp_path, session_timeout_sec=_SESSION_SEC, clock=clock) as opened:
        opened.admin().create_topics([_TOPIC], _CALL_SEC)
        yield opened


def _append(transport: EmbeddedTransport, value: bytes) -> None:
    producer = transport.producer()
    producer.append("t", value, partition=0)
    producer.flush(_CALL_SEC)
    producer.close()


def test_a_restart_forgets_members_and_keeps_their_commits(tmp_path: Path) -> None:
    with EmbeddedTransport(tmp_path) as transport:
        transport.admin().create_topics([_TOPIC], _CALL_SEC)
        _append(transport, b"x")
        vanishing = transport.consumer("g", _Noting())
        vanishing.subscribe(["t"])
        vanishing.poll(0, 0.0)
        assert vanishing.commit({_FIRST: Committed(1, "kept")}, _CALL_SEC) == {_FIRST: Outcome.YES}
    with EmbeddedTransport(tmp_path) as transport:
        consumer = transport.consumer("g", _Noting())
        consumer.subscribe(["t"])
        assert consumer.poll(1, 0.0) == []
        assert consumer.assignment() == _PLACES
        assert consumer.committed([_FIRST], _CALL_SEC) == {_FIRST: Committed(1, "kept")}


def test_committing_keeps_a_member_alive(transport: EmbeddedTransport, clock: ManualClock) -> None:
    busy, other = transport.consumer("g", _Noting()), transport.consumer("g", _Noting())
    busy.subscribe(["t"])
    busy.poll(0, 0.0)
    for _ in range(3):
        clock.advance(_SESSION_SEC - 1)
        assert busy.commit({_FIRST: Committed(0, "")}, _CALL_SEC) == {_FIRST: Outcome.YES}
    other.subscribe(["t"])
    other.poll(0, 0.0)
    assert busy.commit({_FIRST: Committed(0, "")}, _CALL_SEC) == {_FIRST: Outcome.YES}


def test_a_member_does_not_expire_while_it_waits_in_poll(transport: EmbeddedTransport, clock: ManualClock) -> None:
    listener, other = _Noting(), transport.consumer("g", _Noting())
    waiting = transport.consumer("g", listener)
    waiting.subscribe(["t"])
    polling = threading.Thread(target=waiting.poll, args=(1, _CALL_SEC))
    polling.start()
    assert listener.assigned.wait(_CALL_SEC)
    clock.advance(_SESSION_SEC * 10)
    other.subscribe(["t"])
    other.poll(0, 0.0)
    for number in range(2):  # one of them wakes it, wherever the partitions are by now
        transport_append = transport.producer()
        transport_append.append("t", b"", partition=number)
        transport_append.flush(_CALL_SEC)
        transport_append.close()
    polling.join(_CALL_SEC)
    assert "lost" not in [call for call, _ in listener.calls]


def test_a_topic_made_again_is_revoked_and_assigned_from_its_beginning(transport: EmbeddedTransport) -> None:
    listener = _Noting()
    consumer = transport.consumer("g", listener)
    consumer.subscribe(["t"])
    _append(transport, b"old")
    assert [each.value for each in consumer.poll(1, 0.0)] == [b"old"]
    transport.admin().delete_topic("t", _CALL_SEC)
    transport.admin().create_topics([_TOPIC], _CALL_SEC)
    _append(transport, b"new")
    assert [(each.offset, each.value) for each in consumer.poll(1, 0.0)] == [(0, b"new")]
    assert listener.calls == [("assign", _PLACES), ("revoke", _PLACES), ("assign", _PLACES)]


def test_an_evicted_member_that_leaves_has_lost_its_partitions(
    transport: EmbeddedTransport, clock: ManualClock
) -> None:
    listener = _Noting()
    sleeper, heir = transport.consumer("g", listener), transport.consumer("g", _Noting())
    sleeper.subscribe(["t"])
    sleeper.poll(0, 0.0)
    clock.advance(_SESSION_SEC + 1)
    heir.subscribe(["t"])
    heir.poll(0, 0.0)
    assert heir.assignment() == _PLACES
    sleeper.leave()
    assert listener.calls[-1] == ("lost", _PLACES)
    assert heir.assignment() == _PLACES


def test_a_consumer_that_has_left_may_commit_only_while_the_group_is_empty(transport: EmbeddedTransport) -> None:
    leaver, other = transport.consumer("g", _Noting()), transport.consumer("g", _Noting())
    leaver.subscribe(["t"])
    leaver.poll(0, 0.0)
    leaver.leave()
    assert leaver.commit({_FIRST: Committed(0, "left")}, _CALL_SEC) == {_FIRST: Outcome.YES}
    other.subscribe(["t"])
    other.poll(0, 0.0)
    assert leaver.commit({_FIRST: Committed(0, "again")}, _CALL_SEC) == {_FIRST: Outcome.NO}
