"""What the transport's classes cost over the bare client: python -m tests.benchmarks.kafka_transport BOOTSTRAP"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Collection, Mapping

import confluent_kafka

from processor.core.topics import Keep, Topic
from processor.transport.abstract import Committed, RebalanceListener, TopicPartition
from processor.transport.kafka import KafkaTransport
from processor.transport.kafka.settings import For, client_settings

PARTITIONS = 4
VALUE = b'{"type":"ended","request":"0123456789abcdef0123456789abcdef","status":"FINISHED","code":200}' * 3
SINGLE, BATCHES, BATCH, READ, COMMITS = 2_000, 100, 500, 500, 1_000
ROUNDS = 3

Times = list[float]


class Quiet(RebalanceListener):
    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {}

    def on_revoke(self, partitions: Collection[TopicPartition]) -> None: ...

    def on_lost(self, partitions: Collection[TopicPartition]) -> None: ...


def timed(action: Callable[[], object], count: int) -> Times:
    found = []
    for _ in range(count):
        began = time.perf_counter()
        action()
        found.append(time.perf_counter() - began)
    return sorted(found)


def show(name: str, ours: Times, bare: Times, per_call: int = 1) -> None:
    def line(times: Times) -> str:
        at = [1e3 * times[int(len(times) * share)] for share in (0.5, 0.99)]
        return f"p50 {at[0]:7.2f} p99 {at[1]:7.2f} ms {per_call * len(times) / sum(times):9.0f}/s"

    print(f"{name:28s} ours {line(ours)} | bare {line(bare)} | ratio {sum(bare) / sum(ours):.2f}")  # noqa: T201


class Bench:
    def __init__(self, servers: str, transport: KafkaTransport, prefix: str) -> None:
        self._transport, self._name = transport, prefix + "t"
        self._common = {"bootstrap.servers": servers}
        self._producer = transport.producer()
        self._bare = confluent_kafka.Producer(self._common | client_settings(For.PRODUCER) | {"linger.ms": 0})
        self._append_ours(1)
        self._append_bare(1)

    def producing(self) -> None:
        ours, bare = timed(lambda: self._append_ours(1), SINGLE), timed(lambda: self._append_bare(1), SINGLE)
        show("append + flush, one", ours, bare)
        ours, bare = timed(lambda: self._append_ours(BATCH), BATCHES), timed(lambda: self._append_bare(BATCH), BATCHES)
        show(f"append + flush, {BATCH}", ours, bare, BATCH)

    def consuming(self) -> None:
        consumer = self._transport.consumer(uuid.uuid4().hex, Quiet())
        consumer.subscribe(["t"])
        records = consumer.poll(1, 10)
        ours = timed(lambda: records.extend(consumer.poll(READ, 1)), BATCHES)
        where = TopicPartition("t", 0)
        commits = timed(lambda: consumer.commit({where: Committed(1, "m" * 200)}, 5), COMMITS)
        consumer.close()
        client, messages, bare = self._consume_bare()
        show(f"poll, {READ}", ours, bare, READ)
        place = confluent_kafka.TopicPartition(self._name, 0, 1, "m" * 200)
        show("commit", commits, timed(lambda: client.commit(offsets=[place], asynchronous=False), COMMITS))
        client.close()
        assert len(records) >= BATCHES * READ * 0.9 <= len(messages), (len(records), len(messages))

    def close(self) -> None:
        self._producer.close()

    def _append_ours(self, count: int) -> None:
        for _ in range(count):
            self._producer.append("t", VALUE, key=b"k")
        self._producer.flush(10)

    def _append_bare(self, count: int) -> None:
        for _ in range(count):
            self._bare.produce(self._name, VALUE, b"k")
        self._bare.flush(10)

    def _consume_bare(self) -> tuple[confluent_kafka.Consumer, list[object], Times]:
        """The bare client also takes each message apart, as any use of it must."""
        group = {"group.id": uuid.uuid4().hex, "group.protocol": "consumer", "auto.offset.reset": "earliest"}
        client = confluent_kafka.Consumer(self._common | client_settings(For.FETCHING, For.MEMBER) | group)
        client.subscribe([self._name])
        taken: list[object] = []

        def take() -> None:
            messages = client.consume(1, 1) + client.consume(READ - 1, 0)
            taken.extend(
                (m.topic(), m.partition(), m.offset(), m.leader_epoch(), m.timestamp(), m.key(), m.value(), m.headers())
                for m in messages
                if not m.error()
            )

        while not taken:
            take()
        return client, taken, timed(take, BATCHES)


def main() -> None:
    servers, prefix = sys.argv[1], f"bench{uuid.uuid4().hex[:8]}."
    topic = Topic(name="t", key="-", partitions=PARTITIONS, keep=Keep.DELETE, retention_ms=3_600_000)
    with KafkaTransport(bootstrap_servers=servers, topic_prefix=prefix) as transport:
        transport.admin().create_topics([topic], 10)
        bench = Bench(servers, transport, prefix)
        for _ in range(ROUNDS):
            bench.producing()
            bench.consuming()
        bench.close()
        transport.admin().delete_topic("t", 10)


if __name__ == "__main__":
    main()
