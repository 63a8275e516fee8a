from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping

from processor.core.claims import Claimed, CommitTag, Vector, settle
from processor.core.clock import Clock
from processor.core.errors import HeadraceError, Undecodable
from processor.core.failpoints import failpoint
from processor.core.inflight import opened_key
from processor.core.topics import QUEUES
from processor.executor.books import Books
from processor.executor.claim_counts import ClaimCounts, say_claim
from processor.executor.dedup import WindowPolicy
from processor.executor.intents import Intents
from processor.executor.opened import OffsetMissing, opened_partitions
from processor.executor.partition import IsCancelled, Plan, QueuePartition, Taken, pause_and_resume
from processor.executor.read_back import left_sec, read_back_from
from processor.executor.renewals import Renewals
from processor.transport.abstract import (
    Committed,
    Consumer,
    Outcome,
    RebalanceListener,
    TopicPartition,
    Transport,
    TransportError,
)

log = logging.getLogger(__name__)

GROUP = "executor"
#: Nobody pets the guard while one of these calls waits, so all of them that can follow each other without a pause have
#: to end well within its limit (10 s), also with a broker that hangs.
COMMIT_SEC = 5.0
FLUSH_SEC = 2.0
READ_BACK_SEC = 2.0
#: The next time, where that was not enough.
READ_BACK_MOST_SEC = 4.0
#: All questions about an assignment together.
TAKE_OVER_SEC = 4.0
POLL_RECORDS = 1_000


class Claims(RebalanceListener):
    """The group membership of one executor incarnation: what it owns, buffers and claims.

    Claiming and polling share one thread and no claim spans a poll: inside `claim` nothing can be revoked, and what
    `on_revoke` drops can never be claimed afterwards.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        books: Books,
        clock: Clock,
        executor: str,
        function_of: Callable[[str], str | None],
        inflight_partitions: int,
        policy: WindowPolicy,
    ) -> None:
        self._transport = transport
        self._books = books
        self._clock = clock
        self._executor = executor
        #: Name of the function behind a queue topic.
        self._function_of = function_of
        self._intents = Intents(books=books, executor=executor, inflight_partitions=inflight_partitions)
        self._renewals = Renewals()
        self._policy = policy
        self._consumer: Consumer = transport.consumer(GROUP, self)
        self._owned: dict[TopicPartition, QueuePartition] = {}
        #: Whose intents are on their way to the log, and no commit is.
        self._intended: list[tuple[Plan, str]] = []
        self._unsettled: dict[TopicPartition, tuple[Plan, str]] = {}
        self._read_back_sec = READ_BACK_SEC
        self._batch = 0
        self._topics: frozenset[str] = frozenset()
        self._member = False
        self.counts = ClaimCounts()
        #: Set when nobody can tell whose a batch is: this executor claims no more, ever.
        self.undecided = False
        #: Set when the group member cannot go on.
        self.broken = False
        #: Set when an assignment could not be taken over; the caller leaves and joins again.
        self.must_rejoin = False

    def serve(self, topics: Collection[str]) -> None:
        """Joins the group for these queues, or changes what it is subscribed to."""
        wanted = frozenset(topics)
        if wanted and (wanted != self._topics or not self._member):
            self._topics = wanted
            self._member = True
            try:
                self._consumer.subscribe(sorted(wanted))
            except TransportError as error:
                log.warning("joining the group failed: %s", error, extra={"action": "executor_join"})
                self.broken = True

    @property
    def member(self) -> bool:
        return self._member

    def leave(self) -> None:
        """Partitions go to members with room; runs that are under way need no membership."""
        self.must_rejoin = False
        self._drop_intended()
        if self._member:
            self._member = False
            try:
                self._consumer.leave()
            except TransportError as error:
                log.warning("leaving the group failed: %s", error, extra={"action": "executor_leave"})
                self.broken = True

    def close(self) -> None:
        try:
            self._consumer.close()
        except TransportError as error:
            log.warning("leaving the group failed: %s", error, extra={"action": "executor_leave"})

    def poll(self, timeout_sec: float) -> int:
        """Fills the buffers; runs the listener. Never called while a batch is unsettled."""
        assert self.settled
        records = self._consumer.poll(POLL_RECORDS, timeout_sec)
        for record in records:
            owned = self._owned.get(TopicPartition(record.topic, record.partition))
            if owned is not None:
                owned.offer(record)
        if self.must_rejoin:
            self._consumer.pause(self._consumer.assignment())
        else:
            self._open_new()
            pause_and_resume(self._consumer, self._owned.values())
        return len(records)

    @property
    def settled(self) -> bool:
        return not (self._intended or self._unsettled)

    @property
    def has_waiting(self) -> bool:
        return any(each.waiting for each in self._owned.values())

    def waiting(self) -> dict[str, int]:
        """Records that could be claimed now, per function."""
        waiting: dict[str, int] = {}
        for owned in self._owned.values():
            if owned.waiting and owned.ready:
                waiting[owned.function] = waiting.get(owned.function, 0) + owned.waiting
        return waiting

    def queues_of(self, function: str) -> list[str]:
        """Which queue partitions of the function are ours."""
        return [each.name for each in self._owned.values() if each.function == function]

    @property
    def queues(self) -> frozenset[str]:
        return frozenset(each.name for each in self._owned.values())

    def claim(
        self,
        shares: Mapping[str, int],
        oldest_ms: Mapping[str, int] | None = None,
        is_cancelled: IsCancelled | None = None,
    ) -> list[Taken]:
        """Claims up to shares[function] records of each function: intents, one flush, one fenced commit. Beyond that,
        what was accepted before oldest_ms[function] or is cancelled, which is to be ended without a start.

        Returns what is certainly ours. Blocks for the flush and the commit. While the one has not answered yet, or when
        the other is unknown, it returns less, and `settle` has to be called until `settled`.
        """
        if self.must_rejoin or not (self.settled and self._books.writable):
            return []
        self._batch += 1
        wanted = self._plan(shares, oldest_ms or {}, is_cancelled)
        plans = [(plan, tag) for plan in wanted if (tag := self._tag(plan)) is not None]
        if not plans:
            return []
        failpoint("claims.intents.before")
        for plan, _ in plans:
            self._intents.write(plan, self._batch)
        failpoint("claims.intents.written")
        self._intended = plans
        return self._commit_intended()

    def renew(self) -> None:
        """Commits again where nothing was claimed for long, the offset and the vector unchanged, as a batch of no
        record: it is fenced, and its end can be unknown, like any other's. Blocks for the commit. Called when settled.
        """
        now_sec = self._clock.boottime()
        due = [self._owned[each] for each in self._renewals.due(now_sec) if each in self._owned]
        unmoved = [each.unmoved() for each in due if each.ready]
        if not unmoved or self.must_rejoin:
            return
        self._batch += 1
        self._commit([(plan, tag) for plan in unmoved if (tag := self._tag(plan)) is not None])

    def _commit_intended(self) -> list[Taken]:
        """Once the intents are on the log: a slow one has as long as an append may take. Whoever gave up earlier would
        claim nothing from it, and send it all the same two records for each claim.
        """
        if self._books.flush_urgent(FLUSH_SEC):
            failpoint("claims.intents.durable")
            plans, self._intended = self._intended, []
            return self._commit(plans)
        if not self._books.late:
            self._drop_intended()
        return []

    def _drop_intended(self) -> None:
        for plan, _ in self._intended:
            self._intents.drop(plan, self._batch)
        self._intended = []

    def _commit(self, plans: list[tuple[Plan, str]]) -> list[Taken]:
        """Returns what is certainly ours."""
        offsets = {plan.partition: Committed(plan.next_offset, tag) for plan, tag in plans}
        outcomes = self._consumer.commit(offsets, COMMIT_SEC)
        failpoint("claims.commit.after")
        ours: list[Taken] = []
        for plan, tag in plans:
            ours += self._conclude(plan, tag, outcomes.get(plan.partition, Outcome.UNKNOWN))
        return ours

    def settle(self) -> list[Taken]:
        """Waits for intents that are late, or reads an unknown batch back, partition by partition. Returns what turned
        out to be ours.
        """
        if self._intended:
            return self._commit_intended()
        try:
            found = self._consumer.committed(list(self._unsettled), self._read_back_sec)
        except TransportError as error:
            log.warning("an unknown commit cannot be read back yet: %s", error, extra={"action": "settle_retry"})
            self._read_back_sec = READ_BACK_MOST_SEC
            return []
        self._read_back_sec = READ_BACK_SEC
        ours: list[Taken] = []
        for partition, (plan, written) in list(self._unsettled.items()):
            del self._unsettled[partition]
            committed = found.get(partition)
            if settle(written, committed.metadata if committed else None) is Claimed.OURS:
                ours += self._take(plan)
            else:
                self.counts.undecided += 1
                self.undecided = True
                say_claim("commit_undecided", plan, len(plan.taken))
                self._intents.write(plan, self._batch, abandoned=True)  # recovery decides, although we live
        return ours

    def _plan(
        self, shares: Mapping[str, int], oldest_ms: Mapping[str, int], is_cancelled: IsCancelled | None
    ) -> list[Plan]:
        left = dict(shares)
        plans = []
        # Starting with the fullest keeps the partitions of one function level.
        for owned in sorted(self._owned.values(), key=lambda each: -each.waiting):
            if not (owned.waiting and owned.ready):
                continue
            plan = owned.plan(left.get(owned.function, 0), oldest_ms.get(owned.function, 0), is_cancelled)
            if plan is not None:
                left[owned.function] = left.get(owned.function, 0) - (len(plan.taken) - plan.unstarted)
                plans.append(plan)
        return plans

    def _tag(self, plan: Plan) -> str | None:
        """None stops the partition: it is said, and the others are not held up."""
        try:
            return CommitTag(executor=self._executor, batch=self._batch, vector=plan.vector).encode()
        except HeadraceError as error:
            self._stop(plan.partition, error)
            del self._owned[plan.partition]
            return None

    def _conclude(self, plan: Plan, written: str, outcome: Outcome) -> list[Taken]:
        if outcome is Outcome.YES:
            return self._take(plan)
        if outcome is Outcome.NO:
            # The records stay here: in a cooperative rebalance a refused commit can be followed by nothing at all, and
            # if the partition is somebody else's by now, the next poll says so and drops them.
            self.counts.refused += len(plan.taken)
            say_claim("commit_refused", plan, len(plan.taken))
            self._intents.drop(plan, self._batch)
            self._renewals.refused(plan.partition, self._clock.boottime())
            return []
        self.counts.unknown += 1
        say_claim("commit_unknown", plan, len(plan.taken))
        self._unsettled[plan.partition] = (plan, written)
        return []

    def _take(self, plan: Plan) -> list[Taken]:
        owned = self._owned.get(plan.partition)
        if owned is not None:
            owned.apply(plan)
            self._renewals.committed(plan.partition, self._clock.boottime())
        self.counts.claimed += len(plan.taken)
        self.counts.own_repeats += plan.own_repeats
        self.counts.upstream_repeats += plan.upstream_repeats
        self.counts.undecodable += plan.undecodable
        say_claim("own_repeat_dropped", plan, plan.own_repeats)
        say_claim("upstream_repeat_dropped", plan, plan.upstream_repeats)
        return list(plan.taken)

    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Takes over where the last owner's commit says, after reading the window back."""
        try:
            return self._take_over(partitions)
        except TransportError as error:
            log.warning("an assignment is given back: %s", error, extra={"action": "assign_retry"})
            self.must_rejoin = True
            # Any place will do, nothing of it is used; left out, the transport would ask for one once more.
            return dict.fromkeys(partitions, 0)

    def _take_over(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        deadline_sec = self._clock.boottime() + TAKE_OVER_SEC
        committed = self._consumer.committed(partitions, TAKE_OVER_SEC)
        bounds = self._consumer.bounds(partitions, left_sec(self._clock, deadline_sec))
        known = {each: at for each in partitions if (at := self._known(each, committed[each])) is not None}
        owned = {each: at for each, at in known.items() if self._function_of(each.topic) is not None}
        # A stopped partition has to be given a place all the same; the end is the quiet one.
        starts = {each: bounds[each].high for each in partitions}
        passed = {each: offset for each, (offset, _) in owned.items()}
        starts |= read_back_from(self._transport, self._clock, self._policy, passed, bounds, deadline_sec)
        for each, (offset, vector) in owned.items():
            self._own(each, offset, vector, starts[each], opened=committed[each] is not None)
        return starts

    def _own(self, partition: TopicPartition, committed: int, vector: Vector, start: int, *, opened: bool) -> None:
        self._owned[partition] = QueuePartition(
            partition,
            self._function_of(partition.topic) or "",
            committed=committed,
            vector=vector,
            start=start,
            opened=opened,
            policy=self._policy,
        )
        self._renewals.owned(partition, self._clock.boottime())

    def on_revoke(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            self._owned.pop(partition, None)
        self._renewals.keep(self._owned.keys())

    def on_lost(self, partitions: Collection[TopicPartition]) -> None:
        self.on_revoke(partitions)

    def _known(self, partition: TopicPartition, committed: Committed | None) -> tuple[int, Vector] | None:
        """Where the last owner got to. None stops the partition: it is said, and nothing is claimed of it."""
        if committed is None:
            return 0, Vector()
        try:
            tag = CommitTag.decode(committed.metadata)
        except Undecodable as error:
            self._stop(partition, error)
            return None
        if tag.batch == 0:
            self._write_opened(partition)
        return committed.offset, tag.vector

    def _open_new(self) -> None:
        """First owner ever: commits (0, empty vector), then says so on `queues`, then claims.

        Not in `on_assign`: inside a rebalance no commit is answered. An unknown commit is not repeated, since by then
        the partition may be somebody else's, whose offset it would reset: the assignment is given back instead.
        """
        new = [each for each in self._owned.values() if not each.opened]
        if not new:
            return
        try:
            opened_before = opened_partitions(self._transport, self._clock)
        except TransportError as error:
            log.warning("an assignment is given back: %s", error, extra={"action": "assign_retry"})
            self.must_rejoin = True
            return
        for each in [each for each in new if opened_key(*each.partition) in opened_before]:
            self._stop(each.partition, OffsetMissing())
            del self._owned[each.partition]
            new.remove(each)
        first = Committed(0, CommitTag(executor=self._executor, batch=0, vector=Vector()).encode())
        failpoint("claims.opened.before")
        outcomes = self._consumer.commit({each.partition: first for each in new}, COMMIT_SEC)
        failpoint("claims.opened.committed")
        for each in new:
            each.opened = outcomes.get(each.partition) is Outcome.YES
            if each.opened:
                self._write_opened(each.partition)
            else:
                self.must_rejoin = True

    def _write_opened(self, partition: TopicPartition) -> None:
        self._books.write(QUEUES.name, self._executor.encode(), key=opened_key(*partition), partition=0)
        failpoint("claims.opened.after")

    def _stop(self, partition: TopicPartition, error: HeadraceError) -> None:
        self.counts.stopped_partitions.add(f"{partition.topic}/{partition.partition}")
        log.error("%s/%d: %s %s", *partition, error, error.remedy, extra={"action": "partition_stopped"})
