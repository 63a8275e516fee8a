from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.ledger import DeliveryState, decode
from processor.core.lifesigns import DeathWatch
from processor.core.loop import LoopService
from processor.core.reconciler import Looks, OpenRuns, Passed, QueueKey, Suspect, suspects
from processor.core.run import Delivery
from processor.core.topics import DAY_MS, INFLIGHT, INSTANCES, QUEUE_PREFIX, RUNS
from processor.recovery.following import Follower, Stopped
from processor.recovery.procedure import Recovery, append_verdict, instance_lost
from processor.recovery.queue_entries import locate
from processor.recovery.reading import CALL_SEC, EXECUTOR_GROUP, OpenIntents, read_deliveries, tag_of
from processor.recovery.signs import heed
from processor.transport.abstract import Reader, Record, TopicPartition, Transport

log = logging.getLogger(__name__)

#: It finds nothing, as a rule, and nobody waits for what it finds.
LOOK_EVERY_SEC = 300.0
#: Older runs are closed by definition: the records that tell of them are about to be deleted.
HORIZON_MS = (RUNS.retention_ms or 0) - DAY_MS
#: What the ledger says of a suspect is read from this long before it came up: a record of it may have been repeated.
CONFIRM_MARGIN_MS = 3_600_000


@dataclass(slots=True)
class ReconcilerCounts:
    """All but the looks are expected to stay at nothing."""

    looks: int = 0
    #: Runs that nobody held, counted by the first look that saw them.
    found: int = 0
    #: Those of them that were given a verdict.
    closed: int = 0
    #: Runs that may as well have been dropped as repeats: nothing is done.
    untold: int = 0
    #: Claims that a living executor gave up and that cannot be decided yet.
    abandoned: int = 0
    #: Accepted runs that were not followed, since too many waited.
    unfollowed: int = 0


class ReconcilerService(LoopService):
    """Looks now and then for runs that nobody will ever end, and ends them. Runs beside each dispatcher."""

    def __init__(self, *, transport: Transport, clock: Clock, name: str, every_sec: float = LOOK_EVERY_SEC) -> None:
        super().__init__(f"reconciler {name}")
        self._transport = transport
        self._clock = clock
        self._process = f"{name}#reconciler"
        self._every_sec = every_sec
        self.counts = ReconcilerCounts()

    def serve(self) -> None:
        if self.stopping.wait(self._every_sec):
            return
        reconciler = Reconciler(self._transport, self._clock, self._process, self.counts, pause=self.stopping.wait)
        try:
            reconciler.look()
            while not self.stopping.wait(self._every_sec):
                reconciler.look()
        except Stopped:
            log.info("the last look was not finished", extra={"action": "reconciler_stopped"})
        finally:
            reconciler.close()


class Reconciler:
    """What one reconciler has read of ledger, intents and life signs; each look brings it up to date.

    Used by one thread.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        process: str,
        counts: ReconcilerCounts,
        *,
        pause: Callable[[float], bool],
    ) -> None:
        """pause: called between two reads with the seconds to wait; True: give up, which look tells as Stopped."""
        self._transport = transport
        self._clock = clock
        self._process = process
        self._counts = counts
        self._recovery = Recovery(transport, clock, process)
        self._run_partitions = transport.admin().topics(CALL_SEC)[RUNS.name]
        self._looks = Looks()
        self._runs = OpenRuns()
        self._held = OpenIntents()
        self._signs = DeathWatch(process)
        self._log_ms = 0
        #: Suspects of the last look, and which delivery each of them is about.
        self._known: dict[tuple[str, Delivery | None], Delivery] = {}
        with ExitStack() as stack:
            self._inflight = Follower(transport, clock, INFLIGHT.name, pause)
            stack.callback(self._inflight.close)
            self._ledger = Follower(transport, clock, RUNS.name, pause)
            stack.callback(self._ledger.close)
            self._instances = Follower(transport, clock, INSTANCES.name, pause)
            stack.callback(self._instances.close)
            self._sessions = stack.pop_all()

    def look(self) -> None:
        """Blocks for as long as it takes. Raises Stopped, TransportError."""
        # The order of these four is the proof (core/reconciler.py).
        passed = self._passed()
        begun = frozenset(each.delivery for each in self._runs.running() if each.delivery is not None)
        for record in self._inflight.catch_up():
            self._held.apply(record)
        for record in self._ledger.catch_up():
            self._take(record)
        for record in self._instances.catch_up():
            self._log_ms = max(self._log_ms, record.timestamp_ms)
            heed(self._signs, record)
        self._runs.forget_before(self._log_ms - HORIZON_MS)
        self._judge(passed, begun)
        self._close_abandoned()
        self._say_unfollowed()
        self._counts.looks += 1

    def close(self) -> None:
        self._sessions.close()

    def _passed(self) -> dict[QueueKey, Passed]:
        admin = self._transport.admin()
        topics = admin.topics(CALL_SEC)
        queues = [
            TopicPartition(topic, number)
            for topic, count in topics.items()
            if topic.startswith(QUEUE_PREFIX)
            for number in range(count)
        ]
        committed = admin.committed(EXECUTOR_GROUP, queues, CALL_SEC) if queues else {}
        tags = {each: (at.offset, tag_of(at)) for each, at in committed.items() if at is not None}
        return {each: Passed(offset, tag.vector) for each, (offset, tag) in tags.items() if tag is not None}

    def _take(self, record: Record) -> None:
        self._log_ms = max(self._log_ms, record.timestamp_ms)
        try:
            self._runs.observe(decode(record.value), record.timestamp_ms)
        except Undecodable:  # the recorder says so
            return

    def _judge(self, passed: dict[QueueKey, Passed], begun: frozenset[Delivery]) -> None:
        held, living = self._held.intents.values(), self._signs.living()
        found = list(suspects(self._runs, passed, held, living, begun=begun))
        if new := [each for each in found if each.key not in self._known]:
            self._examine(new, passed)
        found = [each for each in found if each.key in self._known]
        self._known = {each.key: self._known[each.key] for each in found}
        if agreed := self._looks.agreed(found, self._clock.boottime()):
            self._close(agreed)

    def _examine(self, new: list[Suspect], passed: dict[QueueKey, Passed]) -> None:
        """Before anybody is alarmed: what we follow may be a late repeat of what was on the ledger before."""
        reader = self._transport.reader()
        try:
            told = self._told(reader, new)
            located = dict(locate(reader, self._clock, [each for each in new if each.key not in told], passed))
        finally:
            reader.close()
        for each in new:
            if each.key in located:
                self._known[each.key] = located[each.key]
                self._counts.found += 1
                log.error(
                    "%s has no verdict, and nobody holds it",
                    located[each.key],
                    extra={"action": "reconciler_found", "request_id": each.request_id},
                )
            else:
                self._dismiss(each, told=each.key in told)

    def _told(self, reader: Reader, new: list[Suspect]) -> set[tuple[str, Delivery | None]]:
        """Those of whom the ledger knows all that we miss."""
        states = read_deliveries(
            reader,
            self._clock,
            {each.request_id for each in new},
            since_ms=min(each.since_ms for each in new) - CONFIRM_MARGIN_MS,
            run_partitions=self._run_partitions,
        )
        seen = {entry.request_id for state in states.values() for entry in (state.started, state.verdict) if entry}
        return {each.key for each in new if _is_told(each, states, seen)}

    def _dismiss(self, suspect: Suspect, *, told: bool) -> None:
        if suspect.delivery is None:
            self._runs.dismiss(suspect.request_id)
        else:
            self._runs.dismiss_started(suspect.delivery)
        if not told:
            self._counts.untold += 1
            log.warning(
                "a run that was accepted has neither start nor verdict; it may have been dropped as a repeat",
                extra={"action": "reconciler_untold", "request_id": suspect.request_id},
            )

    def _close(self, agreed: list[Suspect]) -> None:
        producer = self._transport.producer()
        try:
            for each in agreed:
                verdict = instance_lost(
                    request_id=each.request_id,
                    function=each.function,
                    delivery=self._known[each.key],
                    executor=each.executor,
                    why="nobody holds this run, and it has no verdict; the reconciler has closed it",
                    now_ms=self._clock.unix_ms(),
                )
                append_verdict(producer, verdict, self._run_partitions)
            producer.flush(CALL_SEC)
        finally:
            producer.close()
        self._counts.closed += len(agreed)
        log.error("the reconciler closed %d runs", len(agreed), extra={"action": "reconciler_closed"})

    def _close_abandoned(self) -> None:
        if self._held.where(lambda intent: intent.abandoned):
            self._counts.abandoned = self._recovery.close_abandoned()

    def _say_unfollowed(self) -> None:
        if self._runs.unfollowed > self._counts.unfollowed:
            log.warning(
                "%d accepted runs are not followed: too many wait",
                self._runs.unfollowed,
                extra={"action": "reconciler_unfollowed"},
            )
        self._counts.unfollowed = self._runs.unfollowed


def _is_told(suspect: Suspect, states: dict[Delivery, DeliveryState], seen: set[str]) -> bool:
    if suspect.delivery is None:
        return suspect.request_id in seen
    return states.get(suspect.delivery, DeliveryState()).verdict is not None
