from __future__ import annotations

from collections.abc import Collection, Mapping

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from processor.core.clock import Clock
from processor.transport.abstract import Bounds, Reader, Record, TopicPartition
from processor.transport.kafka import lookups
from processor.transport.kafka.names import LogicalNames, Names
from processor.transport.kafka.records import fetch, raise_if_it_stops, stopped, to_records
from processor.transport.kafka.settings import Value


class KafkaReader(Reader):
    """A client without a group. Its positions come from what poll returned, and from the client's end-of-log events:
    those alone tell that behind the last record there is nothing but a hole of compaction.
    """

    def __init__(self, settings: Mapping[str, Value], names: Names, clock: Clock) -> None:
        self._names = names
        self._logical = LogicalNames(names.prefix)
        self._clock = clock
        self._client = confluent_kafka.Consumer(dict(settings))
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[tuple[str, int], int] = {}
        self._passed_a_hole = False

    def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._positions = dict(offsets)
        self._client.assign([self._names.place(each, offset) for each, offset in offsets.items()])

    def poll(self, max_records: int, timeout_sec: float) -> list[Record]:
        deadline = self._clock.boottime() + timeout_sec
        while True:
            records = self._fetch(max_records, timeout_sec)
            timeout_sec = deadline - self._clock.boottime()
            if records or self._passed_a_hole or timeout_sec <= 0:
                return records

    def partitions(self, topic: str, timeout_sec: float) -> list[TopicPartition]:
        return lookups.partitions_of(self._client, self._names, topic, timeout_sec)

    def bounds(self, partitions: Collection[TopicPartition], timeout_sec: float) -> Mapping[TopicPartition, Bounds]:
        return lookups.bounds(self._client, self._names, partitions, timeout_sec)

    def offsets_at(
        self, partitions: Collection[TopicPartition], unix_ms: int, timeout_sec: float
    ) -> Mapping[TopicPartition, int]:
        return lookups.offsets_at(self._client, self._names, partitions, unix_ms, timeout_sec)

    def positions(self) -> Mapping[TopicPartition, int]:
        return dict(self._positions)

    def close(self) -> None:
        self._client.close()

    def _fetch(self, max_records: int, timeout_sec: float) -> list[Record]:
        self._ends.clear()
        try:
            messages = fetch(self._client, max_records, timeout_sec, self._clock)
        except KafkaException as error:
            raise stopped(error) from error
        records = to_records(messages, self._logical, self._on_event)
        # Plain pairs equal TopicPartitions and cost a third of them.
        self._move({(each[0], each[1]): each[2] + 1 for each in records})
        self._passed_a_hole = self._move(self._ends)
        return records

    def _move(self, offsets: Mapping[tuple[str, int], int]) -> bool:
        """True when a position has moved."""
        further = {
            TopicPartition(*place): offset
            for place, offset in offsets.items()
            if offset > self._positions.get(TopicPartition(*place), offset)
        }
        self._positions.update(further)
        return bool(further)

    def _on_event(self, error: KafkaError, message: Message) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            assert topic is not None
            assert partition is not None
            assert offset is not None
            self._ends[self._logical[topic], partition] = offset
        else:
            raise_if_it_stops(error, message)
