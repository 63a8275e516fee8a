from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Collection, Mapping

from processor.core.clock import Clock
from processor.core.codec import Unencodable
from processor.core.failpoints import failpoint
from processor.core.function import Function
from processor.core.loop import LoopService
from processor.core.topics import INTAKE, RUNS
from processor.dispatcher.routing import Routed, route, unroutable
from processor.dispatcher.session import DispatchSession
from processor.registry.registry import Registry
from processor.transport.abstract import (
    AppendFailed,
    Committed,
    Consumer,
    RebalanceListener,
    Record,
    RecordTooLarge,
    TopicPartition,
    Transport,
    TransportError,
)

log = logging.getLogger(__name__)

GROUP = "dispatcher"
#: One batch is one flush; 500 events at 300 bytes are one request per broker.
BATCH_RECORDS = 500
POLL_SEC = 0.25
FLUSH_SEC = 10.0
CALL_SEC = 10.0
#: Lets a batch become few requests; the flush at its end does not wait for it.
LINGER_MS = 5
#: Batches begin at least this far apart. An event by itself waits for nothing; at 500/s a batch holds four, and the
#: broker, to which each append is a request, has a fifth less to do: accept p50 2.5 -> 2.2 ms on two cores.
SPACING_SEC = 0.008
#: A crash repeats what was appended since the last commit, harmlessly (DESIGN 5.3a): committing each batch would cost
#: a round trip per batch, and this costs at most that many repeats.
COMMIT_EVERY_SEC = 0.2
#: After a failed session or a lost broker, before the next try.
BACK_OFF_SEC = 1.0


class DispatcherService(LoopService):
    """Reads intake in order, appends `accepted` and the event to its queue, then moves the intake offset.

    Stateless: killed anywhere, it or another one goes on from the committed offset and repeats some appends.
    """

    def __init__(self, *, transport: Transport, registry: Registry, clock: Clock, name: str = "dispatcher") -> None:
        super().__init__(name)
        self._transport = transport
        self._registry = registry
        self._clock = clock
        self._killed = threading.Event()

    def kill(self) -> None:
        """Now: nothing more is written, nothing is committed."""
        self._killed.set()
        self.stop()

    def serve(self) -> None:
        """One membership in the group; ends when asked to stop, or with the error that ended it."""
        lane = _Lane(self._transport)
        try:
            while not self.stopping.is_set():
                records = lane.consumer.poll(BATCH_RECORDS, POLL_SEC)
                if records and not self._killed.is_set():
                    next_at_sec = self._clock.boottime() + SPACING_SEC
                    self._dispatch(lane, records)
                    self.stopping.wait(max(0.0, next_at_sec - self._clock.boottime()))
                self._commit_if_due(lane)
            if not self._killed.is_set():
                lane.commit()
        finally:
            lane.close()

    def _dispatch(self, lane: _Lane, records: list[Record]) -> None:
        self._registry.refresh()
        try:
            for record in records:
                self._pass_on(lane.session, record)
            lane.session.flush(FLUSH_SEC)
        except AppendFailed as error:
            log.warning("dispatch is repeated: %s", error, extra={"action": "dispatch_repeat"})
            lane.rewind()
            self.stopping.wait(BACK_OFF_SEC)
        else:
            lane.advance(records)

    def _pass_on(self, session: DispatchSession, record: Record) -> None:
        """What no topic takes would be refused again and again: that is an outcome too."""
        routed = route(record, self._find)
        if isinstance(routed, Routed):
            try:
                return session.send(record, routed)
            except (RecordTooLarge, Unencodable) as error:
                routed = unroutable(routed, error)
        log.warning("rejected: %s", routed.reason, extra={"action": "reject", "offset": record.offset})
        return session.reject(record, routed)

    def _commit_if_due(self, lane: _Lane) -> None:
        if self._clock.boottime() - lane.committed_at_sec >= COMMIT_EVERY_SEC:
            lane.committed_at_sec = self._clock.boottime()
            lane.commit()

    def _find(self, name: str) -> Function | None:
        """Never answers None from an old view: an event of a function deployed a moment ago must not be rejected."""
        known = self._registry.view.get(name)
        if known is None:
            self._registry.catch_up(CALL_SEC)
            known = self._registry.view.get(name)
        return known


class _Lane(RebalanceListener):
    """The membership of one dispatcher: its consumer, its session, and how far each partition is durable."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        admin = transport.admin()
        self._intake_id = base64.b64encode(admin.topic_id(INTAKE.name, CALL_SEC)).decode()
        self._run_partitions = admin.topics(CALL_SEC)[RUNS.name]
        self.consumer: Consumer = transport.consumer(GROUP, self)
        self.session = self._new_session()
        self.consumer.subscribe([INTAKE.name])
        #: Next offset per owned partition; everything below is in its queue.
        self._done: dict[TopicPartition, int] = {}
        self._uncommitted: set[TopicPartition] = set()
        self.committed_at_sec = 0.0

    def advance(self, records: list[Record]) -> None:
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            self._done[partition] = record.offset + 1
            self._uncommitted.add(partition)

    def commit(self) -> None:
        """A refused or unknown commit changes nothing: whoever owns the partition repeats some appends."""
        due = {each: Committed(self._done[each], "") for each in self._uncommitted if each in self._done}
        self._uncommitted.clear()
        if due:
            failpoint("dispatch.commit.before")
            self.consumer.commit(due, CALL_SEC)
            failpoint("dispatch.commit.after")

    def rewind(self) -> None:
        """A new session goes on from the last durable record of each partition."""
        self.session.close()
        self.session = self._new_session()
        for partition, offset in self._done.items():
            self.consumer.seek(partition, offset)

    def close(self) -> None:
        try:
            self.consumer.close()
        except TransportError as error:
            log.warning("leaving the group failed: %s", error, extra={"action": "dispatcher_leave"})
        self.session.close()

    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        committed = self.consumer.committed(partitions, CALL_SEC)
        bounds = self.consumer.bounds(partitions, CALL_SEC)
        starts = {}
        for partition in partitions:
            known = committed[partition]
            starts[partition] = bounds[partition].low if known is None else known.offset
        self._done.update(starts)
        self.session.forget([each.partition for each in partitions])
        return starts

    def on_revoke(self, partitions: Collection[TopicPartition]) -> None:
        """Commits nothing: inside a rebalance no commit is answered, so that one would hold up all partitions for its
        whole time limit. The next owner repeats what was appended since the last one.
        """
        self.on_lost(partitions)

    def on_lost(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            self._done.pop(partition, None)
            self._uncommitted.discard(partition)

    def _new_session(self) -> DispatchSession:
        return DispatchSession(self._transport.producer(linger_ms=LINGER_MS), self._intake_id, self._run_partitions)
