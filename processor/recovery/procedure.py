from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from processor.core.claims import CommitTag
from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.inflight import Intent, Sign, SignKind, executor_partition
from processor.core.ledger import Accepted, DeliveryState, Ended, decode, encode, fold
from processor.core.recovery import Findings, Remedy, decide
from processor.core.request_id import partition_of
from processor.core.run import Delivery, RunError, StatusCode
from processor.core.topics import INFLIGHT, INSTANCES, RUNS
from processor.transport.abstract import Committed, Producer, Reader, TopicPartition, Transport
from processor.transport.replay import read_to_end, read_until

log = logging.getLogger(__name__)

EXECUTOR_GROUP = "executor"
CALL_SEC = 10.0
READ_SEC = 60.0
#: `runs` is read from the beginning of the oldest run in question, which may have been going on for a day.
READ_RUNS_SEC = 1_800.0
#: `runs` is read from before the oldest open intent; clocks of log and records are both the broker's.
RUNS_MARGIN_MS = 60_000


@dataclass(slots=True)
class RecoveryCounts:
    closed: int = 0
    tombstoned: int = 0
    waiting: int = 0


@dataclass(slots=True)
class _Open:
    """Open intents as read from `inflight`, and since when each of them stands there (Unix milliseconds)."""

    intents: dict[bytes, Intent] = field(default_factory=dict)
    since_ms: dict[bytes, int] = field(default_factory=dict)

    def apply(self, key: bytes, value: bytes | None, timestamp_ms: int) -> None:
        if value is None:
            self.intents.pop(key, None)
            self.since_ms.pop(key, None)
            return
        try:
            self.intents[key] = Intent.decode(value)
        except Undecodable as error:
            log.warning("an intent cannot be read: %s", error, extra={"action": "recovery_undecodable"})
        else:
            # Written again by a session that came after a failed one, it is as old as it was.
            self.since_ms.setdefault(key, timestamp_ms)

    def of(self, executors: frozenset[str]) -> dict[bytes, Intent]:
        return {key: each for key, each in self.intents.items() if each.executor in executors}


class Recovery:
    """Closes what dead executors left open (DESIGN 5.5). Used by one thread; any number may do it at once, since
    every append is idempotent under the fold and only the first verdict counts.
    """

    def __init__(self, transport: Transport, clock: Clock, name: str) -> None:
        self._transport = transport
        self._clock = clock
        self._name = name
        topics = transport.admin().topics(CALL_SEC)
        self._run_partitions = topics[RUNS.name]
        self._inflight_partitions = topics[INFLIGHT.name]
        self.counts = RecoveryCounts()

    def declare(self, executors: Iterable[str]) -> None:
        """Appends their `dead` marks, durably: from here on none of them hands a run over. Raises AppendFailed."""
        producer = self._transport.producer()
        try:
            for executor in executors:
                sign = Sign(kind=SignKind.DEAD, process=executor, role="executor", at_ms=self._clock.unix_ms())
                producer.append(INSTANCES.name, sign.encode(), key=sign.key, partition=0)
            producer.flush(CALL_SEC)
        finally:
            producer.close()

    def close_claims(self, dead: Collection[str]) -> int:
        """Decides every open intent of these executors, all of which bear a `dead` mark. Returns how many stay open.

        Blocks for several reads. Raises TransportError; then nothing is half done that a repeat would not finish.
        """
        reader = self._transport.reader()
        try:
            return self._close_claims(reader, frozenset(dead))
        finally:
            reader.close()

    def _close_claims(self, reader: Reader, dead: frozenset[str]) -> int:
        everywhere = [TopicPartition(INFLIGHT.name, each) for each in range(self._inflight_partitions)]
        first = self._read_inflight(reader, self._partitions_of(dead))
        queues = {_queue(intent) for intent in first.of(dead).values()}
        if not queues:
            return 0
        # The order of these three reads is the proof (core/recovery.py): never ask earlier what may know more later.
        committed = self._transport.admin().committed(EXECUTOR_GROUP, queues, CALL_SEC)
        held = self._read_inflight(reader, everywhere)
        # Only of these: beside a run of a day somewhere else there would be a day of records to read.
        ours = {key: each for key, each in held.of(dead).items() if _queue(each) in committed}
        deliveries = self._read_runs(reader, ours.values(), min((held.since_ms[key] for key in ours), default=0))
        remedies = [(each, self._decide(each, committed, held, deliveries)) for each in ours.values()]
        self._carry_out(remedies)
        return sum(remedy is Remedy.WAIT for _, remedy in remedies)

    def _decide(
        self,
        intent: Intent,
        committed: Mapping[TopicPartition, Committed | None],
        held: _Open,
        deliveries: dict[Delivery, DeliveryState],
    ) -> Remedy:
        known = committed[_queue(intent)]
        others = (each for each in held.intents.values() if each.executor != intent.executor)
        return decide(
            intent,
            Findings(
                committed_offset=None if known is None else known.offset,
                committed_tag=None if known is None else _tag(known),
                claimed_by_other=any(each.delivery == intent.delivery for each in others),
                delivery=deliveries.get(intent.delivery, DeliveryState()),
            ),
        )

    def _carry_out(self, remedies: list[tuple[Intent, Remedy]]) -> None:
        """Verdicts first and durable, then the tombstones: a crash between leaves an intent that is looked at again."""
        producer = self._transport.producer()
        try:
            for intent, remedy in remedies:
                if remedy is Remedy.CLOSE:
                    self._append_lost(producer, intent)
                    self.counts.closed += 1
                self.counts.waiting += remedy is Remedy.WAIT
            producer.flush(CALL_SEC)
            for intent, remedy in remedies:
                if remedy is not Remedy.WAIT:
                    partition = executor_partition(intent.executor, self._inflight_partitions)
                    producer.append(INFLIGHT.name, None, key=intent.key, partition=partition)
                    self.counts.tombstoned += remedy is Remedy.TOMBSTONE
            producer.flush(CALL_SEC)
        finally:
            producer.close()

    def _append_lost(self, producer: Producer, intent: Intent) -> None:
        verdict = Ended(
            request_id=intent.request_id,
            function=intent.function,
            delivery=intent.delivery,
            status_code=StatusCode.INSTANCE_LOST,
            error=RunError(type="InstanceLost", message=f"executor {intent.executor} is gone; it held this run"),
            executor=intent.executor,
            ended_at_ms=self._clock.unix_ms(),
        )
        partition = partition_of(intent.request_id, self._run_partitions)
        producer.append(RUNS.name, encode(verdict), key=intent.request_id.encode(), partition=partition)
        log.warning("closed as InstanceLost", extra={"action": "instance_lost", "request_id": intent.request_id})

    def _partitions_of(self, executors: Iterable[str]) -> list[TopicPartition]:
        numbers = {executor_partition(each, self._inflight_partitions) for each in executors}
        return [TopicPartition(INFLIGHT.name, number) for number in sorted(numbers)]

    def _read_inflight(self, reader: Reader, partitions: list[TopicPartition]) -> _Open:
        held = _Open()
        for record in read_to_end(reader, partitions, self._clock, timeout_sec=READ_SEC):
            held.apply(record.key or b"", record.value, record.timestamp_ms)
        return held

    def _read_runs(self, reader: Reader, intents: Collection[Intent], oldest_ms: int) -> dict[Delivery, DeliveryState]:
        if not intents:
            return {}
        wanted = {intent.delivery: intent.request_id for intent in intents}
        numbers = {partition_of(each, self._run_partitions) for each in wanted.values()}
        partitions = [TopicPartition(RUNS.name, number) for number in sorted(numbers)]
        since_ms = oldest_ms - RUNS_MARGIN_MS
        ends = {each: bound.high for each, bound in reader.bounds(partitions, CALL_SEC).items()}
        reader.assign(reader.offsets_at(partitions, max(since_ms, 0), CALL_SEC))
        states: dict[Delivery, DeliveryState] = {}
        for record in read_until(reader, ends, self._clock, timeout_sec=READ_RUNS_SEC):
            try:
                entry = decode(record.value)
            except Undecodable:
                continue
            if not isinstance(entry, Accepted) and entry.delivery in wanted:
                states[entry.delivery] = fold(states.get(entry.delivery, DeliveryState()), entry)
        return states


def _queue(intent: Intent) -> TopicPartition:
    return TopicPartition(intent.delivery.topic, intent.delivery.partition)


def _tag(committed: Committed) -> CommitTag | None:
    try:
        return CommitTag.decode(committed.metadata)
    except Undecodable:
        return None
