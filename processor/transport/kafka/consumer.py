from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

import confluent_kafka
from confluent_kafka import KafkaException
from confluent_kafka import TopicPartition as Place

from processor.core.clock import Clock
from processor.transport.abstract import (
    Bounds,
    Committed,
    Consumer,
    Outcome,
    RebalanceListener,
    Record,
    TopicPartition,
    TransportError,
)
from processor.transport.kafka import lookups
from processor.transport.kafka.bounded import BoundedCalls, NoAnswer, NotBegun
from processor.transport.kafka.errors import commit_outcome, of
from processor.transport.kafka.names import LogicalNames, Names
from processor.transport.kafka.records import fetch, raise_if_it_stops, stopped, to_records
from processor.transport.kafka.settings import Value

#: Where an assigned partition starts may be asked for this long, while the broker is away.
_START_SEC = 10.0
#: offset.metadata.max.bytes is 4,096 by default, and the broker wants less than that.
METADATA_LIMIT_BYTES = 4_095
#: How long leave waits for the client to hand its partitions over.
_LEAVE_SEC = 4.0
#: A poll for no records within this time of a real one has nothing to do: nobody waits for a handover of 0.1 s.
_FRESH_SEC = 0.1
#: A refusal that took longer may be the answer to a second try, made after the first one was applied and its answer
#: lost: then it is UNKNOWN. Members are evicted after 6 s and more, never within this time of an applied commit.
_CERTAIN_SEC = 1.0


class KafkaConsumer(Consumer):
    def __init__(self, settings: Mapping[str, Value], names: Names, listener: RebalanceListener, clock: Clock) -> None:
        self._names = names
        self._logical = LogicalNames(names.prefix)
        self._listener = listener
        self._clock = clock
        self._client = confluent_kafka.Consumer(dict(settings))
        # The client's asynchronous commit is no way out: it reports through poll, which may hand partitions over in the
        # middle of a claim.
        self._commits = BoundedCalls("kafka-commits")
        #: Apart from those: a commit that is lost is asked after.
        self._questions = BoundedCalls("kafka-questions")
        #: Inside a callback of the client, which answers no other thread until that returns.
        self._rebalancing = False
        self._assigned: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        #: Where reading began, for as long as the client has no position of its own.
        self._starts_at: dict[TopicPartition, int] = {}
        #: Everything is paused in the client because the caller wants no records for a while.
        self._held = False
        #: Taken away since the running call of the client began: it may still return records of these.
        self._withdrawn: set[TopicPartition] = set()
        self._polled_at = clock.boottime()
        self._broken = ""
        #: Between subscribe and leave. Outside it an assignment that was under way is no news for the listener.
        self._member = False
        self._closed = False

    # -- membership

    def subscribe(self, topics: Collection[str]) -> None:
        if not topics:
            return self.leave()
        self._check()
        # The client joins at once and from a thread of its own; a member that does not poll yet would hold others up.
        self._to_join = sorted(topics)
        return None

    def _join(self, topics: list[str]) -> None:
        self._to_join = []
        self._member = True
        self._client.subscribe(
            [self._names.on_broker(each) for each in topics],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._assigned)

    def leave(self) -> None:
        if self._closed or self._commits.stuck():
            return self._give_up("it was left while a commit was still waiting for its coordinator")
        self._member, self._to_join = False, []
        self._client.unsubscribe()
        deadline = self._clock.boottime() + _LEAVE_SEC
        while self._assigned and self._clock.boottime() < deadline:
            self._client.consume(1, 0.05)
        if self._assigned:
            self._give_up("its partitions could not be handed over")
        return None

    def close(self) -> None:
        if self._closed:
            return
        if self._commits.stuck():
            self._give_up("it was closed while a commit was still waiting for its coordinator")
        self._closed, self._member = True, False
        self._questions.stop(then=lambda: self._commits.stop(then=self._client.close))
        self._give_up("it is closed")

    # -- records

    def poll(self, max_records: int, timeout_sec: float) -> list[Record]:
        self._check()
        if self._to_join:
            self._join(self._to_join)
        if max_records <= 0:
            self._keep_alive(timeout_sec)
            return []
        if self._held:
            self._release()
        deadline = self._clock.boottime() + timeout_sec
        while True:
            records = self._fetch(max_records, timeout_sec)
            self._polled_at = now = self._clock.boottime()
            if records or now >= deadline:
                return records
            timeout_sec = deadline - now

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        partitions = self._assigned.intersection(partitions) - self._paused
        self._paused |= partitions
        if partitions:
            self._client.pause(self._names.places(partitions))

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        partitions = self._paused.intersection(partitions)
        self._paused -= partitions
        if not self._held:
            self._run(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        place = self._names.place(partition, offset)
        self._starts_at[partition] = offset
        try:
            self._client.seek(place)
        except KafkaException:
            # The client cannot seek a partition it has not begun to fetch; assigned anew, it begins where it is told.
            self._client.incremental_unassign([place])
            self._client.incremental_assign([place])

    # -- offsets

    def commit(
        self, offsets: Mapping[TopicPartition, Committed], timeout_sec: float
    ) -> Mapping[TopicPartition, Outcome]:
        if not offsets:
            return {}
        prefix = self._names.prefix
        places = [
            Place(prefix + each.topic, each.partition, at.offset, at.metadata)
            for each, at in offsets.items()
            if not _is_too_long(at.metadata)
        ]
        unknown = dict.fromkeys(offsets, Outcome.UNKNOWN)
        if not places or self._closed:
            return unknown
        began = self._clock.boottime()
        try:
            found = self._commit(places, offsets, timeout_sec)
        except NotBegun:  # never sent, and never will be: the outcome is certain
            return dict.fromkeys(offsets, Outcome.NO)
        if self._clock.boottime() - began >= _CERTAIN_SEC:
            found = {each: what for each, what in found.items() if what is not Outcome.NO}
        return unknown | found

    def _commit(
        self, places: list[Place], offsets: Iterable[TopicPartition], timeout_sec: float
    ) -> dict[TopicPartition, Outcome]:
        """What was answered, partition by partition. Raises NotBegun."""
        try:
            answer = self._commits.call(lambda: self._client.commit(offsets=places, asynchronous=False), timeout_sec)
        except KafkaException as error:  # membership is refused for the request as a whole
            return dict.fromkeys(offsets, commit_outcome(of(error)))
        except NoAnswer:
            return {}
        return {self._names.partition(each): commit_outcome(each.error) for each in answer or ()}

    def committed(
        self, partitions: Collection[TopicPartition], timeout_sec: float
    ) -> Mapping[TopicPartition, Committed | None]:
        names, asked = self._names, list(partitions)
        if self._rebalancing:
            return lookups.committed(self._client, names, asked, timeout_sec)
        return self._questions.call(lambda: lookups.committed(self._client, names, asked, timeout_sec), timeout_sec)

    def bounds(self, partitions: Collection[TopicPartition], timeout_sec: float) -> Mapping[TopicPartition, Bounds]:
        return lookups.bounds(self._client, self._names, partitions, timeout_sec)

    def offsets_at(
        self, partitions: Collection[TopicPartition], unix_ms: int, timeout_sec: float
    ) -> Mapping[TopicPartition, int]:
        return lookups.offsets_at(self._client, self._names, partitions, unix_ms, timeout_sec)

    # -- fetching

    def _fetch(self, max_records: int, timeout_sec: float) -> list[Record]:
        self._withdrawn.clear()
        try:
            messages = fetch(self._client, max_records, timeout_sec, self._clock)
        except KafkaException as error:
            raise stopped(error) from error
        records = to_records(messages, self._logical, raise_if_it_stops)
        if self._withdrawn and records:
            return self._without_withdrawn(records)
        return records

    def _without_withdrawn(self, records: list[Record]) -> list[Record]:
        # The client collects records and runs the listener in one call: some can be older than the handover.
        kept = [each for each in records if TopicPartition(each.topic, each.partition) not in self._withdrawn]
        self._put_back(each for each in records if TopicPartition(each.topic, each.partition) in self._assigned)
        return kept

    def _put_back(self, records: Iterable[Record]) -> None:
        first: dict[TopicPartition, int] = {}
        for each in records:
            first.setdefault(TopicPartition(each.topic, each.partition), each.offset)
        for partition, offset in first.items():
            self.seek(partition, offset)

    def _keep_alive(self, timeout_sec: float) -> None:
        """Runs the listener without taking records. The client has no such call, so everything is paused for it, which
        throws away what was fetched ahead: not done for a caller who is full for a moment only.
        """
        deadline = self._clock.boottime() + timeout_sec
        if not self._held:
            fresh_sec = self._polled_at + _FRESH_SEC - self._clock.boottime()
            if fresh_sec > 0:
                time.sleep(max(0.0, min(fresh_sec, timeout_sec)))
            if fresh_sec > timeout_sec:
                return
            self._hold(self._assigned)
        while True:
            self._put_back(self._fetch(1, max(0.0, deadline - self._clock.boottime())))
            if self._clock.boottime() >= deadline:
                return

    def _hold(self, partitions: Collection[TopicPartition]) -> None:
        self._held = True
        if running := set(partitions) - self._paused:
            self._client.pause(self._names.places(running))

    def _release(self) -> None:
        self._held = False
        self._run(self._assigned - self._paused)

    def _run(self, partitions: Collection[TopicPartition]) -> None:
        if not partitions:
            return
        self._client.resume(places := self._names.places(partitions))
        # A resume does not wake the client's thread of a leader that has nothing else to fetch: the next record took
        # 880 ms. A seek does: 8 ms.
        for place in self._client.position(places):
            at = self._names.partition(place)
            self.seek(at, place.offset if place.offset >= 0 else self._starts_at[at])

    # -- rebalances: called by the client inside consume, unsubscribe and close

    def _on_assign(self, _client: confluent_kafka.Consumer, places: list[Place]) -> None:
        if not self._member:
            return  # while the client closes, committed offsets cannot be read any more: it would wait in vain
        with _Guarded(self):
            partitions = self._names.partitions(places)
            starts = dict(self._listener.on_assign(partitions)) if partitions else {}
            starts |= self._starts([each for each in partitions if each not in starts])
            # A pause outlives the loss of a partition in the client; here it does not.
            self._client.resume(places)
            self._client.incremental_assign([self._names.place(each, starts[each]) for each in partitions])
            self._starts_at.update((each, starts[each]) for each in partitions)
            self._assigned.update(partitions)
            if self._held:
                self._hold(partitions)

    def _on_revoke(self, _client: confluent_kafka.Consumer, places: list[Place]) -> None:
        with _Guarded(self):
            if leaving := self._assigned.intersection(self._names.partitions(places)):
                self._listener.on_revoke(leaving)
            self._withdraw(places)

    def _on_lost(self, _client: confluent_kafka.Consumer, places: list[Place]) -> None:
        with _Guarded(self):
            if lost := self._assigned.intersection(self._names.partitions(places)):
                self._listener.on_lost(lost)
            self._withdraw(places)

    def _withdraw(self, places: list[Place]) -> None:
        partitions = self._names.partitions(places)
        self._assigned.difference_update(partitions)
        self._paused.difference_update(partitions)
        self._withdrawn.update(partitions)
        if not self._closed:
            self._client.incremental_unassign(places)

    def _starts(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        if not partitions:
            return {}
        committed = self.committed(partitions, _START_SEC)
        fresh = [each for each in partitions if committed[each] is None]
        lows = self.bounds(fresh, _START_SEC)
        return {each: lows[each].low if (at := committed[each]) is None else at.offset for each in partitions}

    # -- the end

    def _check(self) -> None:
        if self._broken:
            raise TransportError(f"this consumer cannot go on: {self._broken}")

    def _give_up(self, reason: str) -> None:
        self._broken = self._broken or reason
        if self._assigned:
            lost, self._assigned = self._assigned, set()
            self._listener.on_lost(lost)


def _is_too_long(metadata: str) -> bool:
    # The broker counts characters, the contract bytes; no character has more than four.
    return len(metadata) * 4 > METADATA_LIMIT_BYTES and len(metadata.encode()) > METADATA_LIMIT_BYTES


class _Guarded:
    """Inside a rebalance nothing may fail half way: the client would assign the partitions itself, from nowhere."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    def __enter__(self) -> None:
        self._consumer._rebalancing = True

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._consumer._rebalancing = False
        if error is not None:
            self._consumer._broken = f"a rebalance failed: {error!r}"
