"""Topic names: logical outside, with the installation's prefix on the broker."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from confluent_kafka import TopicPartition as Place

from processor.transport.abstract import TopicPartition


class LogicalNames(dict[str, str]):
    """Broker name -> logical name, remembered: this stands in the path of every record."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def __missing__(self, broker_name: str) -> str:
        self[broker_name] = logical = broker_name.removeprefix(self._prefix)
        return logical


@dataclass(frozen=True, slots=True)
class Names:
    prefix: str

    def on_broker(self, logical: str) -> str:
        return self.prefix + logical

    def logical(self, broker_name: str) -> str:
        return broker_name.removeprefix(self.prefix)

    def place(self, partition: TopicPartition, offset: int = -1001) -> Place:
        """The partition as the client writes it; offset -1001 = none."""
        return Place(self.prefix + partition.topic, partition.partition, offset)

    def places(self, partitions: Iterable[TopicPartition], offset: int = -1001) -> list[Place]:
        return [self.place(each, offset) for each in partitions]

    def partition(self, place: Place) -> TopicPartition:
        return TopicPartition(place.topic.removeprefix(self.prefix), place.partition)

    def partitions(self, places: Collection[Place]) -> list[TopicPartition]:
        return [self.partition(each) for each in places]
