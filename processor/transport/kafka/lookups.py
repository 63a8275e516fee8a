"""Questions about partitions that need no group: what is committed, where a log begins and ends, where a time is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from time import monotonic, sleep

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from processor.transport.abstract import (
    Bounds,
    Committed,
    TopicPartition,
    TransportError,
    TransportUnavailable,
    UnknownTopic,
)
from processor.transport.kafka.errors import BETWEEN_LEADERS, UNKNOWN_TOPICS, of
from processor.transport.kafka.names import Names

#: Before asking again who leads a partition.
_NEW_LEADER_SEC = 0.05
#: A new client can know a topic and not yet its partitions; longer than this, and there is none of this number.
_NEW_CLIENT_SEC = 2.0


def committed(
    consumer: Consumer, names: Names, partitions: Collection[TopicPartition], timeout_sec: float
) -> dict[TopicPartition, Committed | None]:
    try:
        places = consumer.committed(names.places(partitions), timeout=timeout_sec)
    except KafkaException as error:
        raise TransportUnavailable(f"committed offsets were not read: {of(error).str()}") from error
    return {names.partition(each): committed_at(each) for each in places}


def committed_at(place: Place) -> Committed | None:
    if place.error is not None:
        raise TransportUnavailable(f"committed offset of {place.topic}[{place.partition}]: {place.error.str()}")
    return Committed(place.offset, place.metadata or "") if place.offset >= 0 else None


def bounds(
    consumer: Consumer, names: Names, partitions: Collection[TopicPartition], timeout_sec: float
) -> dict[TopicPartition, Bounds]:
    # Times -2 and -1 of the protocol are the low and the high bound: two requests for any number of partitions, where
    # get_watermark_offsets sends two for each.
    low = _offsets(consumer, names, partitions, OFFSET_BEGINNING, timeout_sec)
    high = _offsets(consumer, names, partitions, OFFSET_END, timeout_sec)
    return {each: Bounds(low[each], high[each]) for each in partitions}


def offsets_at(
    consumer: Consumer, names: Names, partitions: Collection[TopicPartition], unix_ms: int, timeout_sec: float
) -> dict[TopicPartition, int]:
    # High bounds first: a record appended between the two requests must not be skipped.
    high = _offsets(consumer, names, partitions, OFFSET_END, timeout_sec)
    found = _offsets(consumer, names, partitions, max(0, unix_ms), timeout_sec)
    return {each: found[each] if found[each] >= 0 else high[each] for each in partitions}


def partitions_of(consumer: Consumer, names: Names, topic: str, timeout_sec: float) -> list[TopicPartition]:
    try:
        found = consumer.list_topics(names.on_broker(topic), timeout=timeout_sec).topics.get(names.on_broker(topic))
    except KafkaException as error:
        raise TransportUnavailable(f"partitions of {topic} were not read: {of(error).str()}") from error
    if found is None or found.error is not None or not found.partitions:
        raise UnknownTopic(f"the topic {topic} does not exist")
    return [TopicPartition(topic, number) for number in sorted(found.partitions)]


def _offsets(
    consumer: Consumer, names: Names, partitions: Collection[TopicPartition], time: int, timeout_sec: float
) -> Mapping[TopicPartition, int]:
    """Asks again while a partition is between two leaders, as it is for a moment after its topic was created, and while
    a new client has not heard of it.
    """
    if not partitions:
        return {}
    began = monotonic()
    while True:
        found, failed = _ask(consumer, names.places(partitions, time), timeout_sec)
        if failed is None:
            return {names.partition(each): each.offset for each in found}
        if monotonic() - began > min(_patience_sec(failed), timeout_sec):
            raise _not_read(failed)
        sleep(_NEW_LEADER_SEC)


def _patience_sec(failed: KafkaError) -> float:
    if failed.code() in BETWEEN_LEADERS:
        return float("inf")
    return _NEW_CLIENT_SEC if failed.code() == KafkaError._UNKNOWN_PARTITION else 0.0


def _ask(consumer: Consumer, places: list[Place], timeout_sec: float) -> tuple[list[Place], KafkaError | None]:
    try:
        found = consumer.offsets_for_times(places, timeout=timeout_sec)
    except KafkaException as error:
        return [], of(error)
    return found, next((each.error for each in found if each.error is not None), None)


def _not_read(failed: KafkaError) -> TransportError:
    if failed.code() in UNKNOWN_TOPICS:
        return UnknownTopic(failed.str())
    return TransportUnavailable(f"offsets were not read: {failed.str()}")
