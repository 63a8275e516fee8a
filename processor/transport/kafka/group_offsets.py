from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from functools import partial

from confluent_kafka import Consumer

from processor.transport.abstract import Committed, TopicPartition
from processor.transport.kafka import lookups
from processor.transport.kafka.bounded import BoundedCalls, NotBegun
from processor.transport.kafka.names import Names
from processor.transport.kafka.settings import For, Value, client_settings


class GroupOffsets:
    """Reads what a group has committed, by a consumer of its name that never joins it. Thread-safe.

    Not by the admin client: its question, when it times out, can abort the whole process (librdkafka 2.x,
    `rd_kafka_enq_once_del_source_return: Assertion`).
    """

    def __init__(self, settings: Mapping[str, Value], group: str, names: Names) -> None:
        self._names = names
        self._lock = threading.Lock()
        self._client = Consumer({**settings, **client_settings(For.FETCHING), "group.id": names.on_broker(group)})
        self._calls = BoundedCalls(f"kafka-offsets-{group}")

    def committed(
        self, partitions: Collection[TopicPartition], timeout_sec: float
    ) -> dict[TopicPartition, Committed | None]:
        """Blocks for timeout_sec at most. Raises TransportUnavailable."""
        deadline = time.monotonic() + timeout_sec
        if not self._lock.acquire(timeout=timeout_sec):
            raise NotBegun
        try:
            left_sec = max(0.0, deadline - time.monotonic())
            ask = partial(lookups.committed, self._client, self._names, partitions, left_sec)
            return self._calls.call(ask, left_sec)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Does not wait for an answer that is still out."""
        with self._lock:
            self._calls.stop(then=self._client.close)
