from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TypeVar

from processor.transport.abstract import TopicPartition

M = TypeVar("M")


def assign(
    partitions: Collection[TopicPartition],
    subscriptions: Mapping[M, frozenset[str]],
    current: Mapping[TopicPartition, M],
) -> dict[TopicPartition, M]:
    """Who shall own what: everybody as many as the subscriptions allow, and no partition moves without need.

    Members that subscribe to the same topics differ by one partition at most.
    """
    target = {
        partition: current[partition]
        for partition in partitions
        if partition in current and partition.topic in subscriptions.get(current[partition], ())
    }
    load = Counter(target.values())
    for partition in sorted(partitions):
        candidates = [member for member, topics in subscriptions.items() if partition.topic in topics]
        if partition not in target and candidates:
            target[partition] = min(candidates, key=load.__getitem__)
            load[target[partition]] += 1
    while _move_one(target, subscriptions, load):
        pass
    return target


def _move_one(target: dict[TopicPartition, M], subscriptions: Mapping[M, frozenset[str]], load: Counter[M]) -> bool:
    """From a member to one that has at least two fewer; False when there is no such pair."""
    for partition, owner in sorted(target.items(), key=lambda each: (-load[each[1]], each[0])):
        candidates = [member for member, topics in subscriptions.items() if partition.topic in topics]
        taker = min(candidates, key=load.__getitem__)
        if load[owner] - load[taker] >= 2:
            target[partition] = taker
            load[owner] -= 1
            load[taker] += 1
            return True
    return False
