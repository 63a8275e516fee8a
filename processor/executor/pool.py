from __future__ import annotations

import logging
import signal
from collections.abc import Callable

from processor.core.clock import Clock
from processor.core.run import StatusCode
from processor.executor import frames, verdict
from processor.executor.abstract import FunctionCode, GuardNotStarted, PoolEvent, PoolStopped, RunInput
from processor.executor.crew import MAX_LOSSES, Crew
from processor.executor.deadline import Rung
from processor.executor.instance import Instance, Run, State
from processor.executor.nursery import Nursery
from processor.executor.options import PoolOptions
from processor.executor.outbox import Outbox
from processor.executor.runtime.frames import LOG, NOT_LOADABLE, PROGRESS, RAISED, READY, RETURNED, BadFrame, Frame
from processor.executor.staff import Staff
from processor.executor.verdict import Verdict
from processor.executor.watch import Watch

log = logging.getLogger(__name__)

#: Deadlines, line ends and batches of lines are looked at this often while anything runs.
TICK_SEC = 0.025
IDLE_TICK_SEC = 0.5
#: Idle instances, slow imports, memory.
HOUSEKEEPING_SEC = 0.25


class InstancePool:
    """Warm instances of all functions of one executor. See abstract.Pool; this is the implementation for processes."""

    def __init__(self, *, options: PoolOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._watch = Watch()
        self._nursery = Nursery(options=options, clock=clock, watch=self._watch, household=self)
        #: By (name, version); for tests and the console.
        self.crews: dict[tuple[str, str], Crew] = {}
        self._staff = Staff(options=options, clock=clock, watch=self._watch, nursery=self._nursery, crews=self.crews)
        #: Open runs by delivery.
        self._runs: dict[str, Run] = {}
        self._running: dict[int, Instance] = {}
        #: Crews that have runs waiting and may get an instance now, in turn.
        self._turns: dict[tuple[str, str], Crew] = {}
        #: Crews that get no instance until another one is gone.
        self._starved: dict[tuple[str, str], Crew] = {}
        self._outbox = Outbox(clock)
        self._tick_at_sec = 0.0
        self._housekeeping_at_sec = 0.0
        self._stopped = False
        self._may_start: Callable[[], bool] = lambda: True

    def start(self, may_start: Callable[[], bool] = lambda: True) -> None:
        self._may_start = may_start
        try:
            self._nursery.start()
        except OSError as error:
            raise GuardNotStarted(f"the guard process does not start: {error}") from error

    @property
    def guard_pid(self) -> int:
        return self._nursery.guard_pid

    @property
    def open_runs(self) -> int:
        return len(self._runs)

    def free_slots(self) -> int:
        return max(self._options.slots - len(self._runs), 0)

    def start_run(self, code: FunctionCode, run: RunInput, *, concurrency: int) -> None:
        if self._stopped:
            raise PoolStopped
        crew = self.crews.get((code.name, code.version))
        if crew is None:
            crew = self.crews[code.key] = Crew(code)
        crew.concurrency = min(concurrency, self._options.slots)
        opened = Run(crew, run)
        self._runs[run.delivery] = opened
        now_sec = self._clock.boottime()
        crew.used_at_sec = now_sec
        why = crew.failing(now_sec) if crew.zygote is None else None
        if why is not None:
            self._end(opened, why)
            return
        crew.queue.append(opened)
        if crew.zygote is None:
            self._start_zygote(crew)
        self._next_turn(crew)

    def kill(self, delivery: str, code: StatusCode, message: str, *, grace_sec: float = 0.0) -> bool:
        run = self._runs.get(delivery)
        if run is None:
            return False
        is_first = run.verdict is None
        run.verdict = run.verdict or verdict.from_outside(code, message)
        instance = next((each for each in self._running.values() if each.run is run), None)
        if instance is not None:
            self._staff.end(instance, grace_sec)
        elif is_first:
            run.crew.queue.remove(run)
            self._end(run, run.verdict)
        return is_first

    def kill_all(self, code: StatusCode, message: str) -> None:
        for delivery in list(self._runs):
            self.kill(delivery, code, message)

    def wait(self, timeout_sec: float) -> None:
        until_sec = self._clock.boottime() + timeout_sec
        while True:
            now_sec = self._clock.boottime()
            if now_sec >= self._tick_at_sec:
                self._tick(now_sec)
            left_sec = 0.0 if self._outbox else min(until_sec, self._tick_at_sec) - now_sec
            self._watch.turn(max(left_sec, 0.0))
            if self._outbox or self._clock.boottime() >= until_sec:
                return

    def poll(self, timeout_sec: float = 0.0) -> list[PoolEvent]:
        self.wait(timeout_sec)
        return self._outbox.take()

    def stop(self) -> None:
        self._stopped = True

    def join(self, timeout_sec: float) -> bool:
        self._stopped = True
        self._runs.clear()
        self._turns.clear()
        ended = self._nursery.end(timeout_sec)
        self._watch.close()
        return ended

    # What instances say.

    def on_frame(self, instance: Instance, frame: Frame) -> None:
        kind, body = frame
        if kind == RETURNED:
            instance.peak_mb, result = frames.read_result(body)
            self._answered(instance, Verdict(StatusCode.OK, None, result))
        elif kind == LOG:
            if instance.log(body):
                self.on_lines(instance)
        elif kind == PROGRESS:
            if instance.run is not None:
                self._outbox.progressed(instance.run, *frames.read_progress(body))
        elif kind == RAISED:
            self._answered(instance, verdict.raised(frames.read_failure(body)))
        elif kind == READY:
            instance.says_ready = True
            self._ready(instance)
        elif kind == NOT_LOADABLE:
            self._fail(instance.crew, verdict.not_loadable(frames.read_failure(body)), instance)
        else:
            raise BadFrame(f"a frame of kind {kind}")

    def on_lines(self, instance: Instance) -> None:
        if instance.run is not None and instance.capture.lines:
            self._outbox.lines(instance.run, instance.capture.take())

    def on_silence(self, instance: Instance, reason: str) -> None:
        """Mostly it has died, and its zygote is about to say how: then the signal does nothing. Else it is useless."""
        run = instance.run
        if reason and run is not None and run.verdict is None:
            run.verdict = verdict.lost(reason)
        if instance.state is State.STARTING:
            instance.ends.signal(signal.SIGKILL)  # and how it ended is why the version cannot start
        elif instance.state is not State.ENDING:
            self._staff.kill(instance)

    def watch_for_room(self, instance: Instance, wanted: bool) -> None:
        self._watch.for_room(instance.ends.socket.fileno(), wanted)

    def unwatch(self, descriptor: int) -> None:
        self._watch.remove(descriptor)

    def _answered(self, instance: Instance, answer: Verdict) -> None:
        run = instance.run
        if run is None:
            return
        if run.verdict is not None:  # too late; but the handler has ended, so no grace is needed
            self._staff.kill(instance)
        elif answer.code is StatusCode.OK and instance.state is State.RUNNING:
            self._free(instance, run, answer)
        else:
            run.verdict = answer
            self._staff.kill(instance)

    def _free(self, instance: Instance, run: Run, answer: Verdict) -> None:
        """A run has returned: its last lines, its verdict, and its instance is there for the next one."""
        self._publish(instance, run, answer)
        crew = instance.crew
        instance.state = State.IDLE
        instance.idle_since_sec = crew.used_at_sec = self._clock.boottime()
        crew.idle.append(instance)
        self._next_turn(crew)

    def _publish(self, instance: Instance, run: Run, answer: Verdict) -> None:
        instance.drain()
        instance.capture.finish(self._clock.unix_ms())
        self.on_lines(instance)
        self._end(run, answer, instance)
        instance.run = None
        del self._running[instance.number]
        instance.crew.busy -= 1

    def on_born(self, instance: Instance) -> None:
        if instance.state is State.ENDING:
            instance.ends.signal(signal.SIGKILL)
        self._ready(instance)

    def _ready(self, instance: Instance) -> None:
        if instance.state is not State.STARTING or not instance.pid or not instance.says_ready:
            return
        crew = instance.crew
        crew.succeeded()
        crew.starting -= 1
        instance.state = State.IDLE
        instance.idle_since_sec = self._clock.boottime()
        instance.ladder.start(float("inf"))
        crew.idle.append(instance)
        self._outbox.changed(instance, alive=True)
        self._next_turn(crew)

    def _end(self, run: Run, answer: Verdict, instance: Instance | None = None) -> None:
        if self._runs.pop(run.given.delivery, None) is not None:
            self._outbox.ended(run, answer, instance)

    # Who runs next.

    def _next_turn(self, crew: Crew) -> None:
        if crew.queue:
            self._turns[crew.code.key] = crew
        self._take_turns()

    def _take_turns(self) -> None:
        """Gives free slots to waiting runs, one of each function in turn."""
        turns = self._turns
        while turns and len(self._running) < self._options.slots and self._may_start():
            key = next(iter(turns))
            crew = turns.pop(key)
            if not crew.queue:
                continue
            if crew.has_hand_free:
                self._hand_over(crew.idle.pop(), crew.queue.popleft())
                if crew.queue:
                    turns[key] = crew
            elif not self._staff.grow(crew, self):
                self._starved[key] = crew

    def _hand_over(self, instance: Instance, run: Run) -> None:
        crew = run.crew
        now_sec = self._clock.boottime()
        now_ms = self._clock.unix_ms()
        ends_at_sec = now_sec + crew.code.timeout_sec
        run.cold_start = instance.runs == 0
        idle_for_sec = now_sec - instance.idle_since_sec
        if not instance.hand(run, frames.run_frame(crew.code, run.given, ends_at_sec), idle_for_sec):
            crew.queue.appendleft(run)
            self._staff.kill(instance)
            return
        run.started_at_sec, run.started_at_ms = now_sec, now_ms
        instance.ladder.start(ends_at_sec)
        crew.busy += 1
        self._running[instance.number] = instance
        self._outbox.started(run, instance, now_ms)
        self._tick_at_sec = min(self._tick_at_sec, now_sec + TICK_SEC)
        if crew.init_lines:
            instance.capture.adopt(crew.init_lines)
            crew.init_lines = []

    # Instances come and go.

    def _start_zygote(self, crew: Crew) -> None:
        try:
            self._nursery.request_zygote(crew)
        except OSError as error:
            self.on_failed(crew, verdict.lost(f"no process could be started: {error}"))

    def on_ready(self, crew: Crew) -> None:
        assert crew.zygote is not None
        crew.zygote.output.finish(self._clock.unix_ms())
        crew.init_lines += crew.zygote.output.take()
        self._next_turn(crew)

    def on_zygote_lost(self, crew: Crew, *, expected: bool) -> None:
        crew.losses += not expected
        if crew.losses > MAX_LOSSES:
            self._fail(crew, verdict.lost("the zygote of this version dies again and again"), None)
        elif crew.queue:
            self._start_zygote(crew)

    def on_failed(self, crew: Crew, why: Verdict) -> None:
        self._fail(crew, why, None)

    def on_unborn(self, crew: Crew, instance: Instance, reason: str) -> None:
        self._staff.discard(instance)
        log.warning("no instance of %s: %s", crew.code.name, reason, extra={"action": "instance_unborn"})
        if not crew.members and crew.queue:
            self._end(crew.queue.popleft(), verdict.lost(f"no process could be started: {reason}"))

    def on_gone(self, instance: Instance, status: int | None, peak_mb: float | None) -> None:
        """The tree of it is gone: everything it said is in our pipes, and its run can be told how it ended."""
        crew, failures = instance.crew, instance.crew.back_off
        was_starting = instance.state is State.STARTING
        self._staff.leave_ranks(instance)
        instance.state = State.ENDING
        instance.read_all_frames()
        instance.peak_mb = max(peak_mb or 0.0, instance.peak_mb or 0.0) or None
        run = instance.run
        if run is not None:
            self._publish(instance, run, run.verdict or verdict.ended(status))
        self._staff.discard(instance)
        if not was_starting:
            self._outbox.changed(instance, alive=False)
        elif status is not None and crew.back_off is failures:
            self._fail(crew, verdict.not_loadable(verdict.exit_error(status)), None)
        self._turns.update(self._starved)
        self._starved.clear()
        self._next_turn(crew)

    def _fail(self, crew: Crew, why: Verdict, instance: Instance | None) -> None:
        """The version cannot start: its waiting runs end, and so do those that come in the next seconds."""
        crew.failed(why, self._clock.boottime())
        if instance is not None:
            instance.capture.finish(self._clock.unix_ms())
            crew.init_lines += instance.capture.take()
            self._staff.kill(instance)
        while crew.queue:
            run = crew.queue.popleft()
            lines, crew.init_lines = crew.init_lines, []
            run.told_lines = len(lines)
            self._outbox.lines(run, lines)
            self._end(run, why)

    # What comes with time.

    def _tick(self, now_sec: float) -> None:
        self._nursery.pet(now_sec)
        self._tick_at_sec = now_sec + (TICK_SEC if self._runs else IDLE_TICK_SEC)
        if self._running:
            now_ms = self._clock.unix_ms()
            for instance in list(self._running.values()):
                instance.capture.age(now_ms)
                self.on_lines(instance)
                if now_sec >= instance.ladder.due_sec:
                    self._climb(instance, now_sec)
        if self._turns:
            self._take_turns()  # that were withheld
        if now_sec >= self._housekeeping_at_sec:
            self._housekeeping_at_sec = now_sec + HOUSEKEEPING_SEC
            self._keep_house(now_sec)

    def _climb(self, instance: Instance, now_sec: float) -> None:
        rung = instance.ladder.climb(now_sec)
        if rung is Rung.ASKED:
            if instance.run is not None and instance.run.verdict is None:
                instance.run.verdict = verdict.timed_out(instance.crew.code.timeout_sec)
            instance.ends.signal(signal.SIGTERM)
        elif rung is Rung.KILLED:
            self._staff.kill(instance)
        elif rung is Rung.ORPHANED:
            self._nursery.retire_zygote(instance.crew)
        else:
            log.error("instance %s cannot be killed", instance.name, extra={"action": "instance_given_up"})
            self.on_gone(instance, None, None)

    def _keep_house(self, now_sec: float) -> None:
        self._nursery.tick(now_sec)
        for crew in list(self.crews.values()):
            for instance in list(crew.members.values()):
                self._staff.look_after(instance, now_sec)
                if instance.run is None and now_sec >= instance.ladder.due_sec:
                    self._overdue(instance, now_sec)
            if crew.queue:
                if crew.zygote is None and crew.failing(now_sec) is None:
                    self._start_zygote(crew)
                self._turns[crew.code.key] = crew
            elif not crew.members and now_sec - crew.used_at_sec > self._options.idle_sec:
                self._forget(crew)
        self._take_turns()

    def _overdue(self, instance: Instance, now_sec: float) -> None:
        """A module imported after the fork that takes too long; or an idle instance that cannot be killed."""
        if instance.state is State.STARTING:
            self._fail(instance.crew, verdict.not_imported(self._options.init_limit_sec), instance)
        else:
            self._climb(instance, now_sec)

    def _forget(self, crew: Crew) -> None:
        if crew.zygote is not None:
            self._nursery.retire_zygote(crew)
        else:
            del self.crews[crew.code.key]
