from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from processor.core.clock import Clock
from processor.core.failpoints import failpoint
from processor.core.inflight import Intent, Sign, SignKind, executor_partition
from processor.core.ledger import DeliveryState, Ended, encode
from processor.core.recovery import Findings, Remedy, decide
from processor.core.request_id import partition_of
from processor.core.run import Delivery, RunError, StatusCode
from processor.core.topics import INFLIGHT, INSTANCES, RUNS
from processor.recovery.reading import CALL_SEC, EXECUTOR_GROUP, READ_SEC, OpenIntents, read_deliveries, tag_of
from processor.transport.abstract import Committed, Producer, Reader, TopicPartition, Transport
from processor.transport.replay import read_to_end

log = logging.getLogger(__name__)

#: `runs` is read from before the oldest open intent; clocks of log and records are both the broker's.
RUNS_MARGIN_MS = 60_000


@dataclass(slots=True)
class RecoveryCounts:
    closed: int = 0
    tombstoned: int = 0
    waiting: int = 0


class Recovery:
    """Closes what dead executors left open (DESIGN 5.5). Used by one thread; any number may do it at once, since
    every append is idempotent under the fold and only the first verdict counts.
    """

    def __init__(self, transport: Transport, clock: Clock, name: str) -> None:
        """name: of the process that recovers; its marks bear it."""
        self._transport = transport
        self._clock = clock
        self._name = name
        topics = transport.admin().topics(CALL_SEC)
        self._run_partitions = topics[RUNS.name]
        self._inflight_partitions = topics[INFLIGHT.name]
        self.counts = RecoveryCounts()

    def declare(self, executors: Mapping[str, int | None]) -> None:
        """Appends their `dead` marks, durably: from here on none of them hands a run over. Raises AppendFailed.

        executors: each with the offset of its last heartbeat before the silence; None where it is certain that it is
        gone, whatever was read.
        """
        failpoint("recovery.declare.before")
        producer = self._transport.producer()
        try:
            for executor, after in executors.items():
                at_ms = self._clock.unix_ms()
                sign = Sign(
                    kind=SignKind.DEAD, process=executor, role="executor", at_ms=at_ms, by=self._name, after=after
                )
                producer.append(INSTANCES.name, sign.encode(), key=sign.key, partition=0)
            producer.flush(CALL_SEC)
            failpoint("recovery.declare.after")
        finally:
            producer.close()

    def close_claims(self, dead: Collection[str]) -> int:
        """Decides every open intent of these executors, all of which bear a `dead` mark. Returns how many stay open.

        Blocks for several reads. Raises TransportError; then nothing is half done that a repeat would not finish.
        """
        executors = frozenset(dead)
        return self._close(self._partitions_of(executors), lambda intent: intent.executor in executors)

    def close_abandoned(self) -> int:
        """Decides every open intent that a living executor gave up. Otherwise the same."""
        return self._close(self._everywhere(), lambda intent: intent.abandoned)

    def _close(self, partitions: list[TopicPartition], chosen: Callable[[Intent], bool]) -> int:
        reader = self._transport.reader()
        try:
            return self._close_chosen(reader, partitions, chosen)
        finally:
            reader.close()

    def _close_chosen(self, reader: Reader, partitions: list[TopicPartition], chosen: Callable[[Intent], bool]) -> int:
        first = self._read_inflight(reader, partitions)
        queues = {_queue(intent) for intent in first.where(chosen).values()}
        if not queues:
            return 0
        failpoint("recovery.read.intents")
        # The order of these three reads is the proof (core/recovery.py): never ask earlier what may know more later.
        committed = self._transport.admin().committed(EXECUTOR_GROUP, queues, CALL_SEC)
        failpoint("recovery.read.committed")
        held = self._read_inflight(reader, self._everywhere())
        failpoint("recovery.read.held")
        # Only of these: beside a run of a day somewhere else there would be a day of records to read.
        ours = {key: each for key, each in held.where(chosen).items() if _queue(each) in committed}
        deliveries = read_deliveries(
            reader,
            self._clock,
            {each.request_id for each in ours.values()},
            since_ms=min((held.since_ms[key] for key in ours), default=0) - RUNS_MARGIN_MS,
            run_partitions=self._run_partitions,
        )
        failpoint("recovery.read.ledger")
        remedies = [(each, _remedy(each, committed, held, deliveries)) for each in ours.values()]
        self._carry_out(remedies)
        return sum(remedy is Remedy.WAIT for _, remedy in remedies)

    def _carry_out(self, remedies: list[tuple[Intent, Remedy]]) -> None:
        """Verdicts first and durable, then the tombstones: a crash between leaves an intent that is looked at again."""
        producer = self._transport.producer()
        try:
            for intent, remedy in remedies:
                if remedy is Remedy.CLOSE:
                    failpoint("recovery.close.before")
                    self._append_lost(producer, intent)
                    self.counts.closed += 1
                self.counts.waiting += remedy is Remedy.WAIT
            failpoint("recovery.verdicts.before")
            producer.flush(CALL_SEC)
            failpoint("recovery.verdicts.after")
            for intent, remedy in remedies:
                if remedy is not Remedy.WAIT:
                    partition = executor_partition(intent.executor, self._inflight_partitions)
                    producer.append(INFLIGHT.name, None, key=intent.key, partition=partition)
                    self.counts.tombstoned += remedy is Remedy.TOMBSTONE
            producer.flush(CALL_SEC)
            failpoint("recovery.tombstones.after")
        finally:
            producer.close()

    def _append_lost(self, producer: Producer, intent: Intent) -> None:
        gone = "could not tell whether this run is its own" if intent.abandoned else "is gone; it held this run"
        verdict = instance_lost(
            request_id=intent.request_id,
            function=intent.function,
            delivery=intent.delivery,
            executor=intent.executor,
            why=f"executor {intent.executor} {gone}",
            now_ms=self._clock.unix_ms(),
        )
        append_verdict(producer, verdict, self._run_partitions)

    def _everywhere(self) -> list[TopicPartition]:
        return [TopicPartition(INFLIGHT.name, each) for each in range(self._inflight_partitions)]

    def _partitions_of(self, executors: Iterable[str]) -> list[TopicPartition]:
        numbers = {executor_partition(each, self._inflight_partitions) for each in executors}
        return [TopicPartition(INFLIGHT.name, number) for number in sorted(numbers)]

    def _read_inflight(self, reader: Reader, partitions: list[TopicPartition]) -> OpenIntents:
        held = OpenIntents()
        for record in read_to_end(reader, partitions, self._clock, timeout_sec=READ_SEC):
            held.apply(record)
        return held


def instance_lost(*, request_id: str, function: str, delivery: Delivery, executor: str, why: str, now_ms: int) -> Ended:
    return Ended(
        request_id=request_id,
        function=function,
        delivery=delivery,
        status_code=StatusCode.INSTANCE_LOST,
        error=RunError(type="InstanceLost", message=why),
        executor=executor,
        ended_at_ms=now_ms,
    )


def append_verdict(producer: Producer, verdict: Ended, run_partitions: int) -> None:
    partition = partition_of(verdict.request_id, run_partitions)
    producer.append(RUNS.name, encode(verdict), key=verdict.request_id.encode(), partition=partition)
    log.warning("closed as InstanceLost", extra={"action": "instance_lost", "request_id": verdict.request_id})


def _remedy(
    intent: Intent,
    committed: Mapping[TopicPartition, Committed | None],
    held: OpenIntents,
    deliveries: Mapping[Delivery, DeliveryState],
) -> Remedy:
    known = committed[_queue(intent)]
    others = (each for each in held.intents.values() if each.executor != intent.executor)
    return decide(
        intent,
        Findings(
            committed_offset=None if known is None else known.offset,
            committed_tag=None if known is None else tag_of(known),
            claimed_by_other=any(each.delivery == intent.delivery for each in others),
            delivery=deliveries.get(intent.delivery, DeliveryState()),
        ),
    )


def _queue(intent: Intent) -> TopicPartition:
    return TopicPartition(intent.delivery.topic, intent.delivery.partition)
