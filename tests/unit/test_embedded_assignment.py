from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from processor.transport.abstract import TopicPartition
from processor.transport.embedded.assignment import assign

_TOPICS = ("a", "b", "c")


def _partitions(**counts: int) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]


def test_a_newcomer_takes_its_share_and_nothing_else_moves() -> None:
    partitions = _partitions(a=6)
    before = assign(partitions, {"one": frozenset("a"), "two": frozenset("a")}, {})
    after = assign(partitions, dict.fromkeys(("one", "two", "three"), frozenset("a")), before)
    moved = [each for each in partitions if before[each] != after[each]]
    assert Counter(after.values()) == {"one": 2, "two": 2, "three": 2}
    assert {after[each] for each in moved} == {"three"}


def test_a_topic_that_only_one_subscribes_to_goes_to_it() -> None:
    partitions = _partitions(a=4, b=4)
    owners = assign(partitions, {"plain": frozenset("a"), "gpu": frozenset("ab")}, {})
    assert {owners[each] for each in partitions if each.topic == "b"} == {"gpu"}
    assert Counter(owners.values()) == {"plain": 4, "gpu": 4}


def test_topics_that_nobody_subscribes_to_belong_to_nobody() -> None:
    assert assign(_partitions(a=2), {"one": frozenset("b")}, {}) == {}
    assert assign(_partitions(a=2), {}, {}) == {}


@given(
    counts=st.dictionaries(st.sampled_from(_TOPICS), st.integers(0, 6)),
    steps=st.lists(
        st.dictionaries(st.integers(0, 4), st.frozensets(st.sampled_from(_TOPICS), min_size=1)), min_size=1, max_size=4
    ),
)
def test_whoever_comes_and_goes_each_partition_has_one_fair_owner_and_a_repeat_moves_nothing(
    counts: dict[str, int], steps: list[dict[int, frozenset[str]]]
) -> None:
    partitions = _partitions(**counts)
    owners: dict[TopicPartition, int] = {}
    for subscriptions in steps:
        owners = assign(partitions, subscriptions, owners)
        wanted = {each for each in partitions if any(each.topic in topics for topics in subscriptions.values())}
        assert owners.keys() == wanted
        assert all(each.topic in subscriptions[owner] for each, owner in owners.items())
        load = Counter(dict.fromkeys(subscriptions, 0))
        load.update(owners.values())
        for each, owner in owners.items():
            assert all(load[owner] - load[m] < 2 for m, topics in subscriptions.items() if each.topic in topics)
        assert assign(partitions, subscriptions, owners) == owners
