"""A transport in memory whose failures are scripted: each flush, commit and call does what the test wants next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping

from processor.core.topics import FUNCTIONS, INFLIGHT, INSTANCES, INTAKE, LOGS, QUEUES, REJECTED, RUNS, Topic
from processor.transport.abstract import (
    Admin,
    Appender,
    AppendFailed,
    Bounds,
    BufferFull,
    Committed,
    Consumer,
    Headers,
    Outcome,
    Producer,
    Reader,
    RebalanceListener,
    Record,
    RecordTooLarge,
    Tail,
    TopicPartition,
    Transport,
    UnknownTopic,
)

TOPICS = {each.name: 1 for each in (FUNCTIONS, INTAKE, RUNS, LOGS, INFLIGHT, INSTANCES, QUEUES, REJECTED)}


class ScriptedTransport(Transport):
    def __init__(self, **topics: int) -> None:
        self.partitions = TOPICS | topics
        self.log: dict[TopicPartition, list[Record]] = {}
        #: What the next flushes do; YES when it is empty.
        self.flushes: deque[Outcome] = deque()
        #: Raised by the next call of this name, of whatever object.
        self.failures: dict[str, Exception] = {}
        #: The log's clock: of a record's offset.
        self.timestamp_ms: Callable[[int], int] = lambda offset: 1_000 * offset
        #: So many patient waits for what was appended end too early.
        self.late = 0
        self.max_bytes = 1 << 30
        #: A flush of more in one record fails, and says that this was why.
        self.log_takes_bytes = 1 << 30
        self.buffer_records = 1 << 30
        self.producers: list[ScriptedProducer] = []
        self.consumers: list[ScriptedConsumer] = []
        self.readers: list[ScriptedReader] = []
        self.offsets: dict[TopicPartition, Committed] = {}
        #: Told of each new consumer, of each poll of one or of a reader, of each question of the admin for committed
        #: offsets, and of each failure above.
        self.on_consumer: Callable[[ScriptedConsumer], object] = lambda _: None
        self.on_poll: Callable[[], object] = lambda: None
        self.on_read: Callable[[], object] = lambda: None
        self.on_committed: Callable[[], object] = lambda: None
        self.on_failure: Callable[[], object] = lambda: None

    def fail_if_told(self, call: str) -> None:
        if error := self.failures.get(call):
            self.on_failure()
            raise error

    def records(self, topic: str) -> list[Record]:
        return [record for at, records in sorted(self.log.items()) if at.topic == topic for record in records]

    def put(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> Record:
        log = self.log.setdefault(TopicPartition(topic, partition), [])
        log.append(Record(topic, partition, len(log), 0, self.timestamp_ms(len(log)), key, value, headers))
        return log[-1]

    def producer(self, *, linger_ms: int = 0) -> ScriptedProducer:
        self.producers.append(ScriptedProducer(self))
        return self.producers[-1]

    def consumer(self, group: str, listener: RebalanceListener) -> ScriptedConsumer:
        self.fail_if_told("consumer")
        self.consumers.append(ScriptedConsumer(self, listener))
        self.on_consumer(self.consumers[-1])
        return self.consumers[-1]

    def reader(self, *, patient: bool = False) -> ScriptedReader:
        self.readers.append(ScriptedReader(self))
        return self.readers[-1]

    def appender(self) -> Appender:
        raise NotImplementedError

    def tail(self) -> Tail:
        raise NotImplementedError

    def admin(self) -> ScriptedAdmin:
        return ScriptedAdmin(self)

    def close(self) -> None: ...


class ScriptedProducer(Producer):
    def __init__(self, transport: ScriptedTransport) -> None:
        self._transport = transport
        self._pending: list[tuple[str, int, bytes | None, bytes | None, Headers]] = []
        self._failure: AppendFailed | None = None
        self.closed = False

    def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> None:
        self.poll()
        if topic not in self._transport.partitions:
            raise self._break(Outcome.NO)
        size = len(value or b"") + len(key or b"") + sum(len(name) + len(text) for name, text in headers)
        if size > self._transport.max_bytes:
            raise RecordTooLarge
        if len(self._pending) >= self._transport.buffer_records:
            raise BufferFull
        self._pending.append((topic, partition or 0, key, value, headers))

    def flush(self, timeout_sec: float) -> None:
        self.poll()
        outcome = self._transport.flushes.popleft() if self._transport.flushes else Outcome.YES
        if outcome is not Outcome.YES:
            raise self._break(outcome)
        if any(len(value or b"") > self._transport.log_takes_bytes for _, _, _, value, _ in self._pending):
            raise self._break(Outcome.NO, too_large=True)
        for record in self._pending:
            self._transport.put(*record)
        self._pending.clear()

    def landed(self, timeout_sec: float) -> bool:
        self.poll()
        if self._transport.late > 0 and self._pending:
            self._transport.late -= 1
            return False
        self.flush(timeout_sec)
        return True

    def poll(self) -> None:
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        self.closed = True

    def fail(self, outcome: Outcome) -> None:
        """What it was given and has not flushed never lands; the next call says so."""
        self._break(outcome)

    def _break(self, outcome: Outcome, *, too_large: bool = False) -> AppendFailed:
        self._failure = AppendFailed(outcome, "scripted", too_large=too_large)
        return self._failure


class ScriptedConsumer(Consumer):
    def __init__(self, transport: ScriptedTransport, listener: RebalanceListener) -> None:
        self._transport = transport
        self._listener = listener
        self._assigned: dict[TopicPartition, int] = {}
        #: Where the listener wanted each to be read from, the last time.
        self.began: dict[TopicPartition, int] = {}
        self._rebalances: deque[tuple[str, list[TopicPartition]]] = deque()
        self.paused: set[TopicPartition] = set()
        self.topics: list[str] = []
        #: What the next commits say of every partition, or of each; YES when it is empty.
        self.commits: deque[Outcome | Mapping[TopicPartition, Outcome]] = deque()
        self.asked: list[dict[TopicPartition, Committed]] = []
        self.closed = False
        self.left = 0
        #: How long the last poll would have waited for a record.
        self.patience_sec = 0.0
        self._rebalancing = False

    def will(self, change: str, *partitions: TopicPartition) -> None:
        """change: assign, revoke or lose; the next poll does it."""
        self._rebalances.append((change, list(partitions)))

    def subscribe(self, topics: Collection[str]) -> None:
        self._transport.fail_if_told("subscribe")
        self.topics = sorted(topics)

    def poll(self, max_records: int, timeout_sec: float) -> list[Record]:
        self.patience_sec = timeout_sec
        self._transport.on_poll()
        self._transport.fail_if_told("poll")
        while self._rebalances:
            self._rebalancing = True
            self._rebalance(*self._rebalances.popleft())
            self._rebalancing = False
        found: list[Record] = []
        for partition in self._assigned.keys() - self.paused:
            log = self._transport.log.get(partition, [])[self._assigned[partition] :]
            found += log[: max_records - len(found)]
            self._assigned[partition] += len(log[:max_records])
        return found

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._assigned)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        self.paused.update(partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        self.paused.difference_update(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._assigned[partition] = offset

    def commit(
        self, offsets: Mapping[TopicPartition, Committed], timeout_sec: float
    ) -> Mapping[TopicPartition, Outcome]:
        assert not self._rebalancing, "inside a rebalance no commit is answered: it costs its whole time limit"
        self.asked.append(dict(offsets))
        said = self.commits.popleft() if self.commits else Outcome.YES
        outcomes = dict.fromkeys(offsets, said) if isinstance(said, Outcome) else said
        self._transport.offsets |= {each: offsets[each] for each in offsets if outcomes.get(each) is Outcome.YES}
        return outcomes

    def committed(
        self, partitions: Collection[TopicPartition], timeout_sec: float
    ) -> Mapping[TopicPartition, Committed | None]:
        self._transport.fail_if_told("committed")
        return {each: self._transport.offsets.get(each) for each in partitions}

    def bounds(self, partitions: Collection[TopicPartition], timeout_sec: float) -> Mapping[TopicPartition, Bounds]:
        return _bounds(self._transport, partitions)

    def offsets_at(
        self, partitions: Collection[TopicPartition], unix_ms: int, timeout_sec: float
    ) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def leave(self) -> None:
        self.left += 1
        self._transport.fail_if_told("leave")
        self._rebalance("revoke", list(self._assigned))

    def close(self) -> None:
        self.closed = True
        self._transport.fail_if_told("close")

    def _rebalance(self, change: str, partitions: list[TopicPartition]) -> None:
        if change == "assign":
            starts = dict(self._listener.on_assign(partitions))
            self.began |= starts
            self._assigned |= {each: starts.get(each, 0) for each in partitions}
            return
        (self._listener.on_revoke if change == "revoke" else self._listener.on_lost)(partitions)
        for each in partitions:
            self._assigned.pop(each, None)
            self.paused.discard(each)


class ScriptedReader(Reader):
    def __init__(self, transport: ScriptedTransport) -> None:
        self._transport = transport
        self._positions: dict[TopicPartition, int] = {}
        self.closed = False
        #: Every assignment, in order.
        self.assigned: list[dict[TopicPartition, int]] = []

    def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._positions = dict(offsets)
        self.assigned.append(dict(offsets))

    def poll(self, max_records: int, timeout_sec: float) -> list[Record]:
        self._transport.on_read()
        self._transport.fail_if_told("read")
        found: list[Record] = []
        for partition, position in self._positions.items():
            new = self._transport.log.get(partition, [])[position:]
            self._positions[partition] += len(new)
            found += new
        return found

    def partitions(self, topic: str, timeout_sec: float) -> list[TopicPartition]:
        if topic not in self._transport.partitions:
            raise UnknownTopic
        return [TopicPartition(topic, each) for each in range(self._transport.partitions[topic])]

    def bounds(self, partitions: Collection[TopicPartition], timeout_sec: float) -> Mapping[TopicPartition, Bounds]:
        self._transport.fail_if_told("bounds")
        return _bounds(self._transport, partitions)

    def offsets_at(
        self, partitions: Collection[TopicPartition], unix_ms: int, timeout_sec: float
    ) -> Mapping[TopicPartition, int]:
        younger = {}
        for partition in partitions:
            records = self._transport.log.get(partition, [])
            younger[partition] = next((each.offset for each in records if each.timestamp_ms >= unix_ms), len(records))
        return younger

    def positions(self) -> Mapping[TopicPartition, int]:
        return dict(self._positions)

    def close(self) -> None:
        self.closed = True


class ScriptedAdmin(Admin):
    def __init__(self, transport: ScriptedTransport) -> None:
        self._transport = transport

    def create_topics(self, topics: Iterable[Topic], timeout_sec: float) -> list[str]:
        raise NotImplementedError

    def topics(self, timeout_sec: float) -> Mapping[str, int]:
        self._transport.fail_if_told("topics")
        return self._transport.partitions

    def delete_topic(self, topic: str, timeout_sec: float) -> None:
        raise NotImplementedError

    def delete_records(self, below: Mapping[TopicPartition, int], timeout_sec: float) -> None:
        raise NotImplementedError

    def committed(
        self, group: str, partitions: Collection[TopicPartition], timeout_sec: float
    ) -> Mapping[TopicPartition, Committed | None]:
        self._transport.on_committed()
        self._transport.fail_if_told("committed")
        return {each: self._transport.offsets.get(each) for each in partitions}

    def topic_id(self, topic: str, timeout_sec: float) -> bytes:
        return topic.encode().ljust(16, b"\0")[:16]


def _bounds(transport: ScriptedTransport, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Bounds]:
    return {each: Bounds(0, len(transport.log.get(each, []))) for each in partitions}
