from __future__ import annotations

from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from processor.transport.abstract import Bounds, TopicPartition, TransportUnavailable, UnknownTopic
from processor.transport.kafka import lookups
from processor.transport.kafka.names import Names

WHERE = TopicPartition("t", 0)
PASSING = (KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.OFFSET_NOT_AVAILABLE)


class Restarting:
    """The client of a broker that restarts: its first questions fail, each with the next of these errors."""

    def __init__(self, *codes: int) -> None:
        self._codes = list(codes)

    def offsets_for_times(self, places: list[Place], timeout: float) -> list[Place]:
        if self._codes:
            raise KafkaException(KafkaError(self._codes.pop(0)))
        return [Place(each.topic, each.partition, 7) for each in places]


def bounds(client: Restarting) -> Bounds:
    return lookups.bounds(cast(Consumer, client), Names("p."), [WHERE], 10)[WHERE]


def test_a_leader_that_has_just_begun_is_asked_again_until_it_knows() -> None:
    assert bounds(Restarting(*PASSING)) == Bounds(7, 7)


def test_a_partition_that_a_new_client_has_not_heard_of_is_asked_for_again() -> None:
    assert bounds(Restarting(KafkaError._UNKNOWN_PARTITION)) == Bounds(7, 7)


def test_what_does_not_pass_by_itself_is_told_at_once() -> None:
    with pytest.raises(TransportUnavailable, match="offsets were not read"):
        bounds(Restarting(KafkaError._TRANSPORT))
    with pytest.raises(UnknownTopic):
        bounds(Restarting(KafkaError.UNKNOWN_TOPIC_OR_PART))
