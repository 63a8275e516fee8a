"""How fast the embedded log is. Run: python -m tests.benchmarks.embedded_log [FOLDER]"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from processor.core.topics import Keep, Topic
from processor.transport.abstract import Committed, RebalanceListener, TopicPartition, Transport
from processor.transport.embedded import EmbeddedTransport

_TOPIC = Topic(name="bench", key="-", partitions=4, keep=Keep.UNTIL_CONSUMED)
_VALUE = bytes(300)
_BATCH = 500


class _Silent(RebalanceListener):
    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {}

    def on_revoke(self, partitions: Collection[TopicPartition]) -> None:
        pass

    def on_lost(self, partitions: Collection[TopicPartition]) -> None:
        pass


def main(folder: Path) -> None:
    with EmbeddedTransport(folder) as transport:
        transport.admin().create_topics([_TOPIC], 10.0)
        _say("append + flush, one record", _milliseconds(_single_appends(transport, 3_000)))
        _say("append by a busy neighbour's side", _milliseconds(_beside_a_busy_thread(transport, 1_000)))
        _say("commit", _milliseconds(_commits(transport, 2_000)))
        _say("append to polled by another thread", _milliseconds(_round_trips(transport, 2_000)))
        _say("appends in batches of 500", f"{_batched_appends(transport, 100_000):,.0f} /s")
        _say("polled while they are appended", f"{_followed(transport, 100_000):,.0f} /s")
    with EmbeddedTransport(folder) as transport:
        _say("read back from the file", f"{_read_back(transport):,.0f} /s")


def _single_appends(transport: Transport, count: int) -> list[float]:
    producer = transport.producer()
    took = []
    for _ in range(count):
        begun = time.perf_counter()
        producer.append("bench", _VALUE, key=b"k", partition=0)
        producer.flush(10.0)
        took.append(time.perf_counter() - begun)
    producer.close()
    return took


def _beside_a_busy_thread(transport: Transport, count: int) -> list[float]:
    done = threading.Event()

    def spin() -> None:
        while not done.is_set():
            sum(range(1_000))

    neighbour = threading.Thread(target=spin)
    neighbour.start()
    try:
        return _single_appends(transport, count)
    finally:
        done.set()
        neighbour.join()


def _commits(transport: Transport, count: int) -> list[float]:
    consumer = transport.consumer("bench", _Silent())
    consumer.subscribe(["bench"])
    consumer.poll(1, 1.0)
    took = []
    for number in range(count):
        begun = time.perf_counter()
        consumer.commit({TopicPartition("bench", 0): Committed(number, "executor-1,batch")}, 10.0)
        took.append(time.perf_counter() - begun)
    consumer.close()
    return took


def _round_trips(transport: Transport, count: int) -> list[float]:
    place = TopicPartition("bench", 1)
    reader = transport.reader()
    reader.assign({place: reader.bounds([place], 1.0)[place].high})
    seen = threading.Semaphore(0)

    def follow() -> None:
        for _ in range(count):
            reader.poll(1, 10.0)
            seen.release()

    follower = threading.Thread(target=follow)
    follower.start()
    producer = transport.producer()
    took = []
    for _ in range(count):
        begun = time.perf_counter()
        producer.append("bench", _VALUE, partition=1)
        seen.acquire()
        took.append(time.perf_counter() - begun)
    follower.join()
    producer.close()
    return took


def _batched_appends(transport: Transport, count: int) -> float:
    producer = transport.producer()
    begun = time.perf_counter()
    for _ in range(count // _BATCH):
        for number in range(_BATCH):
            producer.append("bench", _VALUE, key=b"k", partition=number % 4)
        producer.flush(10.0)
    producer.close()
    return count / (time.perf_counter() - begun)


def _followed(transport: Transport, count: int) -> float:
    reader = transport.reader()
    reader.assign({place: bounds.high for place, bounds in reader.bounds(_places(), 1.0).items()})
    writer = threading.Thread(target=_batched_appends, args=(transport, count))
    begun = time.perf_counter()
    writer.start()
    seen = 0
    while seen < count:
        seen += len(reader.poll(_BATCH, 10.0))
    writer.join()
    return count / (time.perf_counter() - begun)


def _read_back(transport: Transport) -> float:
    reader = transport.reader()
    reader.assign({place: bounds.low for place, bounds in reader.bounds(_places(), 1.0).items()})
    begun = time.perf_counter()
    count = 0
    while records := reader.poll(2_000, 0.0):
        count += len(records)
    return count / (time.perf_counter() - begun)


def _places() -> list[TopicPartition]:
    return [TopicPartition("bench", number) for number in range(_TOPIC.partitions)]


def _milliseconds(took_sec: list[float]) -> str:
    cuts = statistics.quantiles(took_sec, n=100)
    return f"p50 {cuts[49] * 1000:.2f} ms   p99 {cuts[98] * 1000:.2f} ms   {1 / statistics.fmean(took_sec):,.0f} /s"


def _say(what: str, figure: str) -> None:
    sys.stdout.write(f"{what:40} {figure}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
