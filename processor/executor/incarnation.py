from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

from processor.core.clock import Clock
from processor.core.lifesigns import ISOLATION_LIMIT_SEC
from processor.core.run import StatusCode
from processor.core.topics import INFLIGHT, LOGS, RUNS
from processor.executor.abstract import LogLines, Pool, RunEnded, RunInput, RunProgressed, RunStarted
from processor.executor.books import Books
from processor.executor.cancels import Cancels
from processor.executor.caution import Caution
from processor.executor.claim_counts import ClaimCounts
from processor.executor.claims import Claims
from processor.executor.codes import CodeFinder
from processor.executor.dedup import DEFAULT_WINDOW, WindowPolicy
from processor.executor.drain import Drain
from processor.executor.fairness import Turns
from processor.executor.flow import NEVER_SEC, Flow
from processor.executor.held import Held
from processor.executor.life import Life, Report
from processor.executor.load import Load
from processor.executor.logship import LogShip
from processor.executor.partition import Taken
from processor.executor.peers import Peers
from processor.executor.runbook import RunBook
from processor.registry.registry import Registry
from processor.transport.abstract import Transport, TransportError

log = logging.getLogger(__name__)

CALL_SEC = 10.0
FLUSH_SEC = 2.0
#: How long the loop sleeps: with runs that speak, with runs that are quiet, with nothing to do.
SPEAKING_SEC = 0.002
QUIET_SEC = 0.02
IDLE_SEC = 0.1
#: Verdicts are confirmed at least this often when no claim does it on the way.
CONFIRM_EVERY_SEC = 0.02
#: Runs that said nothing for longer are looked at less often.
QUIET_AFTER_SEC = 0.1
#: Repeats and what has waited too long, at the front of a queue that may not be claimed from, are passed this often.
PASS_SEC = 0.1
#: New functions are noticed at least this often.
REGISTRY_EVERY_SEC = 0.1
#: How long the last processes get to go away; the guard sees to what is left.
POOL_SEC = 10.0
#: How long a stopped executor tries to write its last verdicts.
DEPART_SEC = 30.0
#: Full for longer: partitions go to members with room.
LEAVE_WHEN_FULL_SEC = 10.0
#: After giving an assignment back, before joining again.
REJOIN_SEC = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorSettings:
    name: str
    data_dir: Path
    slots: int = 2
    isolation_limit_sec: float = ISOLATION_LIMIT_SEC
    drain_limit_sec: float = 90_000.0
    window: WindowPolicy = DEFAULT_WINDOW


class Incarnation:
    """One executor under one id: consume, claim, hand over, collect, end, on one thread.

    It ends when it was asked to stop and has finished its runs, when it was declared dead, or when a claim of its own
    cannot be decided; in the last two cases the service begins another one beside it.
    """

    def __init__(
        self,
        *,
        executor: str,
        transport: Transport,
        registry: Registry,
        codes: CodeFinder,
        pool: Pool,
        clock: Clock,
        settings: ExecutorSettings,
        caution: Caution,
    ) -> None:
        self.executor = executor
        self._clock = clock
        self._settings = settings
        self._registry = registry
        self._codes = codes
        self._pool = pool
        partitions = transport.admin().topics(CALL_SEC)
        self._books = Books(transport, clock, when_confirmed=lambda: self._life.flushed())
        self._caution = caution
        first = Report(young_deaths=caution.if_it_died_now(clock.boottime()))
        self._life = Life(transport=transport, books=self._books, clock=clock, executor=executor, report=first)
        self._runbook = RunBook(
            books=self._books,
            clock=clock,
            executor=executor,
            run_partitions=partitions[RUNS.name],
            inflight_partitions=partitions[INFLIGHT.name],
        )
        self._logs = LogShip(transport, clock, partitions[LOGS.name])
        try:
            self._claims = Claims(
                transport=transport,
                books=self._books,
                clock=clock,
                executor=executor,
                function_of=self._function_of,
                inflight_partitions=partitions[INFLIGHT.name],
                policy=settings.window,
            )
        except BaseException:
            self._logs.close(0.0)
            self._books.close()
            raise
        self._load = Load(slots=settings.slots)
        self._peers = Peers(transport, clock, executor)
        self._flow = Flow(
            view=registry.view,
            load=self._load,
            queues_of=self._claims.queues_of,
            held_elsewhere=self._peers.held,
        )
        self.drain = Drain(clock, settings.drain_limit_sec)
        self._cancels = Cancels(transport, clock, pool, executor, self.drain.request)
        self._turns = Turns()
        self._held = Held(self._runbook, self._load)
        self._rejoin_at_sec = 0.0
        self._registry_at_sec = 0.0
        self._pass_at_sec = 0.0
        self._confirm_at_sec = 0.0
        self._spoke_at_sec = 0.0
        #: When something may be claimed that could not be in the last turn, as far as that is known.
        self._look_at_sec = NEVER_SEC
        self._isolated = False

    @property
    def counts(self) -> ClaimCounts:
        return self._claims.counts

    @property
    def retired(self) -> bool:
        """It claims no more although nobody asked it to stop: a successor is wanted."""
        return self._claims.broken or self._claims.undecided or self._life.declared_dead

    def stop(self) -> None:
        """Asks: no more claims, finish what runs."""
        self.drain.ask()

    def stop_now(self) -> None:
        """Ends what runs, with verdicts."""
        self.drain.ask_now()

    def run(self) -> None:
        """The loop; returns when everything of this incarnation has ended and is written."""
        try:
            self._pool.start(self._life.passes)
            while not self._finished():
                self._keep_alive()
                self._follow_registry()
                self._follow_cancels()
                self._pet()
                self._consume()
                self._pet()
                self._claim()
                self._pet()
                self._hand_over()
                self._collect()
                self._confirm()
            self._depart()
        finally:
            self._close()

    def _pet(self) -> None:
        """Between calls that a hanging broker lets wait: together they would last longer than the guard does."""
        self._pool.wait(0.0)

    def _consume(self) -> None:
        """Waits where the next thing is expected: at the log while a slot is free, else at the instances."""
        wait_sec, self._look_at_sec = self._patience(), NEVER_SEC
        if not self._claims.settled:
            self._take(self._claims.settle())
            self._pool.wait(QUIET_SEC)
        elif not self._claims.member:
            self._pool.wait(wait_sec)
        elif self._nothing_ends_soon():
            self._poll_log(wait_sec)
        else:
            self._poll_log(0.0)
            self._pool.wait(wait_sec)

    def _nothing_ends_soon(self) -> bool:
        """What waits here can only be set free by a run that ends, or (paused, paced) by time."""
        if self._claims.has_waiting:
            return not self._load.open and not self._held
        return self._load.open < self._settings.slots

    def _poll_log(self, wait_sec: float) -> None:
        try:
            self._claims.poll(wait_sec)
        except Exception as error:
            # Whatever it is, this membership is beyond repair; what runs is not: it runs on while a successor claims.
            unexpected = None if isinstance(error, TransportError) else error
            log.warning("executor claims no more: %s", error, exc_info=unexpected, extra={"action": "executor_retired"})
            self._claims.broken = True

    def _claim(self) -> None:
        if self.drain.asked or self._isolated or self.retired:
            return
        if not (self._claims.settled and self._cancels.caught_up and self._peers.caught_up):
            return
        if not self._life.may_hand_over():
            return  # what cannot be started is better left to others
        self._claims.renew()
        now_sec = self._clock.boottime()
        wants, self._look_at_sec = self._flow.wanted(self._claims.waiting(), now_sec)
        if any(wants.values()) or (wants and now_sec >= self._pass_at_sec):
            self._pass_at_sec = now_sec + PASS_SEC
            costs = {name: self._load.mean_sec(name) for name in wants}
            room = min(self._load.batch_room, self._caution.room(self._load.open, now_sec))
            shares = self._turns.share(wants, costs, room)
            oldest_ms = self._flow.oldest_ms(wants, self._peers.log_now_ms())
            is_cancelled = self._cancels.applies if self._cancels.any else None
            self._take(self._claims.claim(shares, oldest_ms, is_cancelled))

    def _hand_over(self) -> None:
        """Gives what is claimed to the pool, after the life-sign check: right before, not some time before."""
        self._held.give_while(self._life.may_hand_over, self._give)
        if self._life.declared_dead:
            # Claimed in the moment before we knew: recovery may have looked already, so the verdict is ours to write.
            self._held.refuse_all("the executor was declared dead before this run began")
            self._pool.kill_all(StatusCode.INSTANCE_LOST, "the executor was declared dead")

    def _collect(self) -> None:
        for happened in self._pool.poll():
            self._spoke_at_sec = self._clock.boottime()
            if isinstance(happened, LogLines):
                self._logs.ship(happened.request_id, happened.function, happened.delivery, happened.lines)
            elif isinstance(happened, RunProgressed):
                self._logs.show(happened)
            elif isinstance(happened, RunStarted):
                self._load.of(happened.function).running[happened.delivery] = self._spoke_at_sec
            elif isinstance(happened, RunEnded):
                self._end(happened)
        self._logs.poll()

    def _confirm(self) -> None:
        """Verdicts and heartbeats are confirmed soon, also when no claim flushes them on its way."""
        now_sec = self._clock.boottime()
        if now_sec >= self._confirm_at_sec and not self._books.empty:
            self._confirm_at_sec = now_sec + CONFIRM_EVERY_SEC
            self._books.flush(FLUSH_SEC)

    def _keep_alive(self) -> None:
        self._life.beat_if_due()
        cut_off = self._life.silent_for_sec() > self._settings.isolation_limit_sec
        if cut_off and not self._isolated:
            log.error("cut off from the log, runs are killed", extra={"action": "isolated"})
            self._pool.kill_all(StatusCode.INSTANCE_LOST, "the executor was cut off from the log for too long")
        self._isolated = cut_off

    def _follow_registry(self) -> None:
        """Keeps the subscription at the queues of all functions; gives a failed assignment back."""
        now_sec = self._clock.boottime()
        if now_sec < self._registry_at_sec:
            return
        self._registry_at_sec = now_sec + REGISTRY_EVERY_SEC
        self._load.look(now_sec)
        self._peers.follow()
        self._report(now_sec)
        try:
            self._registry.refresh()
        except TransportError as error:
            log.warning("functions cannot be read: %s", error, extra={"action": "registry_retry"})
            self._registry_at_sec = now_sec + REJOIN_SEC  # the view that we have goes on to hold
        if self._claims.must_rejoin and self._claims.settled:
            self._claims.leave()
            self._rejoin_at_sec = now_sec + REJOIN_SEC
        wanted = self._serving(now_sec) and not self._full_for_long(now_sec)
        if wanted and now_sec >= self._rejoin_at_sec:
            self._claims.serve([each.queue_topic for each in self._registry.view.all()])
        elif not wanted and self._claims.settled:
            self._claims.leave()

    def _follow_cancels(self) -> None:
        """Also of an executor that claims no more: what it runs can be cancelled to the end."""
        if self._cancels.follow():
            self._held.cancel(self._cancels.applies_to)

    def _report(self, now_sec: float) -> None:
        """What the heartbeats say: whether it claims, whether it has room, why what it owns waits."""
        waiting = self._claims.waiting()
        waits = self._caution.waits(self._flow.waits(waiting, now_sec), waiting, now_sec)
        report = Report(
            serving=self._serving(now_sec),
            room=not self._load.full,
            waits=waits,
            young_deaths=self._caution.if_it_died_now(now_sec),
            held=self._load.held(now_sec, self._claims.queues),
        )
        self._life.report(report)

    def _serving(self, now_sec: float) -> bool:
        return not (self.drain.asked or self.retired or self._isolated) and self._caution.may_claim(now_sec)

    def _full_for_long(self, now_sec: float) -> bool:
        """Runs that are under way need no membership, so a full executor holds no partition for long that another one
        could serve; those that nobody could serve stay where their events can expire and the reason is known.
        """
        since_sec = self._load.full_since_sec
        return since_sec is not None and now_sec - since_sec > LEAVE_WHEN_FULL_SEC and self._peers.have_room()

    def _patience(self) -> float:
        now_sec = self._clock.boottime()
        if self._held or (self._load.open and now_sec - self._spoke_at_sec < QUIET_AFTER_SEC):
            return SPEAKING_SEC
        quiet_sec = QUIET_SEC if self._load.open else IDLE_SEC
        return max(min(self._look_at_sec - now_sec, quiet_sec), 0.0)

    def _take(self, claimed: list[Taken]) -> None:
        """What is certainly ours."""
        self._flow.claimed(self._held.take(claimed, self._cancels.applies_to))

    def _give(self, taken: Taken) -> bool:
        """False: it cannot be told yet what to run; it stays held."""
        try:
            code = self._codes.find(taken.stamp.function, taken.stamp.version)
        except TransportError as error:
            log.warning("a claimed run has to wait: %s", error, extra={"action": "code_retry"})
            return False
        if code is None:
            self._held.refuse_missing(taken)
            return True
        delivery = str(taken.delivery)
        self._cancels.given(delivery, taken)
        self._pool.start_run(
            code,
            RunInput(
                request_id=taken.request_id,
                delivery=delivery,
                payload=taken.record.value or b"",
                event_format=taken.stamp.event_format,
            ),
            concurrency=max(self._flow.limits(taken.stamp.function).concurrency, 1),
        )
        return True

    def _end(self, ended: RunEnded) -> None:
        """The run's verdict, and what it tells about the next ones of its function."""
        if self._claims.has_waiting:
            self._look_at_sec = 0.0
        self._caution.ended()
        self._cancels.ended(ended.delivery)
        cut_off = ended.status_code is StatusCode.CANCELLED
        self._load.of(ended.function).ended(ended.delivery, ended.duration_ms / 1000, cut_off=cut_off)
        self._runbook.ended(ended.record(self.executor, self._clock.unix_ms()))

    def _function_of(self, topic: str) -> str | None:
        return next((each.name for each in self._registry.view.all() if each.queue_topic == topic), None)

    def _finished(self) -> bool:
        """Nothing runs, nothing is held, and it claims no more."""
        if self.drain.now:
            self._held.refuse_all("the executor was stopped before this run began")
            self._pool.kill_all(StatusCode.INSTANCE_LOST, "the executor was told to stop now")
        ending = self.drain.asked or self.retired
        # Told to stop now it waits for no broker: what cannot be read back is left to recovery.
        settled = self._claims.settled or self.drain.now
        return ending and settled and not self._held and not self._load.open

    def _depart(self) -> None:
        """Everything is on the log before we say good-bye: who has departed is recovered by nobody. With a claim
        undecided we leave the rest to recovery.
        """
        self._claims.leave()
        deadline_sec = self._clock.boottime() + DEPART_SEC
        written = self._books.flush_all(deadline_sec, self._pool.wait)
        decided = self._claims.settled and not self._claims.undecided
        if written and decided and not self._life.declared_dead:
            self._life.depart()
            self._books.flush_all(deadline_sec, self._pool.wait)

    def _close(self) -> None:
        """The processes of the pool first: whatever goes wrong with the others, nothing of ours runs on."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._books.close)
            stack.callback(self._logs.close, FLUSH_SEC)
            stack.callback(self._claims.close)
            stack.callback(self._peers.close)
            stack.callback(self._cancels.close)
            self._pool.stop()
            self._pool.join(POOL_SEC)
