from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.core.event import Event
from processor.core.rejected import Rejection
from processor.dispatcher.accept import FunctionDisabled, Receipt, UnknownFunction
from processor.transport.abstract import Appender, Transport
from triggers.abstract import Binding, Health, Trigger, TriggerState
from triggers.intake import Intake
from triggers.schedule.catch_up import catch_up, enough
from triggers.schedule.condition import Upcoming, clock_trouble
from triggers.schedule.errors import ClockDiffers, DecideAnew, NothingLeft, NotTaken, SameSchedule
from triggers.schedule.firing import firing_by_hand, firing_of, jitter_of, rfc3339
from triggers.schedule.settings import Schedule
from triggers.schedule.settled import SettledTimes
from triggers.schedule.volley import Volleys
from triggers.watching import Backoff, WatchingTrigger

log = logging.getLogger(__name__)

#: How often somebody who waits for a time looks at the clock again: it may have been set.
LOOK_SEC = 5.0
#: Late by more than this, it first reads what others have fired meanwhile: this process was stopped, or has just begun.
LATE_SEC = 2.0
#: What was decided longer ago is decided anew: this process may have been stopped in between, and others have fired.
DECIDED_SEC = 20.0


class ScheduleTriggers:
    """Makes the schedules of a process. Every process that has a schedule fires it; one of the events is run."""

    def __init__(self, *, intake: Intake, transport: Transport, appender: Appender, clock: Clock) -> None:
        """appender: started, and stopped after this."""
        self.intake = intake
        self.clock = clock
        self.volleys = Volleys(intake)
        self.settled = SettledTimes(transport=transport, appender=appender, clock=clock)
        self._running: set[str] = set()

    def start(self) -> None:
        """Returns at once; schedules fire as soon as `schedules` has been read."""
        self.settled.start()

    async def stop(self) -> None:
        """After the triggers have ended. Writes down what they have fired."""
        await self.volleys.stop()
        await self.settled.stop()

    def make(self, binding: Binding) -> Trigger:
        """Raises BadCron, UnknownZone."""
        return ScheduleTrigger(binding, Schedule.of(binding), self)

    @contextlib.contextmanager
    def running(self, schedule: Schedule) -> Iterator[None]:
        """The schedule fires inside. Raises SameSchedule."""
        if schedule.schedule_id in self._running:
            raise SameSchedule(schedule.schedule_id)
        self._running.add(schedule.schedule_id)
        try:
            yield
        finally:
            self._running.discard(schedule.schedule_id)


class ScheduleTrigger(WatchingTrigger):
    """Fires each time of its timetable, in order, and notes it once the event is durable."""

    #: What keeps it from firing for now is waited for inside `watch`.
    passing = ()

    def __init__(self, binding: Binding, schedule: Schedule, shared: ScheduleTriggers) -> None:
        super().__init__(binding, shared.clock, Backoff(first_sec=LOOK_SEC, longest_sec=LOOK_SEC))
        self.schedule = schedule
        self._shared = shared
        self._settled = shared.settled
        self._decided_at = 0.0
        self._upcoming = Upcoming(schedule)

    @property
    def health(self) -> Health:
        upcoming = self._upcoming.after(max(self._cursor, int(self._now_sec())))
        return replace(self._condition.shown_as(*self._shown(bool(upcoming))), upcoming=upcoming)

    def _shown(self, goes_on: bool) -> tuple[TriggerState, HeadraceError | None]:
        state = self._condition.state
        why = self._condition.trouble or self._settled.trouble
        if why is None and state is TriggerState.WATCHING:
            why = clock_trouble(self._cursor, self._now_sec(), self._settled.clock_ahead_sec)
            why = why if goes_on else NothingLeft()
        if why is None or state is TriggerState.STOPPED or isinstance(why, ClockDiffers):
            return state, why
        return TriggerState.WAITING, why

    async def watch(self) -> None:
        with self._shared.running(self.schedule):
            await self._begin()
            self._condition.watching()
            while True:
                await self._fire_passed(await self._until_due())

    async def fire(self) -> list[Receipt]:
        event = firing_by_hand(self.schedule, self._clock.unix_ms())
        receipt = await self._shared.intake.submit(self._binding, event)
        self._condition.note_accepted()
        return [receipt]

    async def _begin(self) -> None:
        """A schedule that nobody has heard of begins now; that is written down, or its first time could be missed."""
        await self._settled.ready()
        if self._settled.of(self._id) is None:
            self._settled.note(self._id, int(self._now_sec()))
        await self._settled.written(self._id)

    async def _until_due(self) -> float:
        """Returns when the next time was due: with its jitter."""
        while True:
            nominal = self.schedule.timetable.after(self._cursor)
            due_sec = float("inf") if nominal is None else nominal + jitter_of(self.schedule, nominal)
            if due_sec <= self._now_sec():
                return due_sec
            await self._sleep_until(due_sec)

    async def _sleep_until(self, at_sec: float) -> None:
        """Or shorter."""
        await asyncio.sleep(min(max(at_sec - self._now_sec(), 0.0), LOOK_SEC))

    async def _fire_passed(self, due_sec: float) -> None:
        if self._now_sec() - due_sec > LATE_SEC:
            await self._settled.refresh()
        settled_sec, now_sec = self._cursor, self._now_sec()
        self._decided_at = self._clock.boottime()
        passed = self._passed(settled_sec, now_sec)
        chosen = catch_up(passed, settled_sec=settled_sec, now_sec=now_sec, policy=self.schedule.policy)
        since_sec = settled_sec if chosen.leaves_out else None
        if since_sec is not None:
            log.warning("%s: some times after %s are left out", self._id, rfc3339(since_sec), extra=self._fields())
        try:
            for nominal in chosen.fire:
                await self._fire(nominal, since_sec)
                since_sec = None
        except DecideAnew:
            return
        if passed:
            self._settled.note(self._id, passed[-1])

    def _passed(self, settled_sec: int, now_sec: float) -> list[int]:
        """The times since, up to now; of those that are late only as many as can be of use."""
        timetable, policy = self.schedule.timetable, self.schedule.policy
        on_time_sec = int(now_sec - policy.grace_sec)
        late = timetable.newest(settled_sec, on_time_sec, enough(policy))
        return late + list(timetable.between(max(settled_sec, on_time_sec), int(now_sec)))

    async def _fire(self, nominal_sec: int, since_sec: int | None) -> None:
        """Returns once it is fired, by whomever. Raises DecideAnew."""
        due_sec = nominal_sec + jitter_of(self.schedule, nominal_sec)
        while self._now_sec() < due_sec:
            await self._sleep_until(due_sec)
        if nominal_sec <= self._cursor:  # another process was faster
            return
        await self._settled.room_for(self._id, nominal_sec)
        self._still_decided()
        event = firing_of(self.schedule, nominal_sec, missed_since_sec=since_sec)
        await self._accept(event, lambda: self._settled.note(self._id, nominal_sec))

    async def _accept(self, event: Event, settle: Callable[[], None]) -> None:
        """Returns once it is durable: on intake, or on `rejected` if it can never be accepted. settle: called then,
        also when we are cancelled before we hear of it. Raises DecideAnew.
        """
        try:
            refused = await self._shared.volleys.fire(self._binding, event, self._not_accepted, settle)
        except (UnknownFunction, FunctionDisabled) as error:  # this trigger is about to be ended, then
            self._condition.note_trouble(error)
            await asyncio.sleep(LOOK_SEC)
            raise DecideAnew from error
        except NotTaken as error:
            self._condition.note_trouble(self._condition.trouble or error)
            raise DecideAnew from error
        if refused is None:
            self._condition.note_accepted()
        else:
            await self._shared.intake.reject(self._rejection(event, refused))
            self._condition.note_rejected()
            settle()

    def _rejection(self, event: Event, refused: HeadraceError) -> Rejection:
        return Rejection(
            raw=event.data or b"",
            reason=f"{refused}. {refused.remedy}",
            origin=f"{event.source}/{event.time}",
            trigger=self._binding.trigger_id,
            function=self._binding.function,
        )

    def _not_accepted(self, error: HeadraceError) -> None:
        """Before each new try. Raises DecideAnew."""
        self._condition.note_trouble(error)
        self._still_decided()

    def _still_decided(self) -> None:
        """Raises DecideAnew."""
        if self._clock.boottime() - self._decided_at > DECIDED_SEC:
            raise DecideAnew

    @property
    def _id(self) -> str:
        return self.schedule.schedule_id

    @property
    def _cursor(self) -> int:
        """Up to which time it is settled, here or elsewhere."""
        settled_sec = self._settled.of(self._id)
        return int(self._now_sec()) if settled_sec is None else settled_sec

    def _now_sec(self) -> float:
        return self._clock.unix_ms() / 1000

    def _fields(self) -> dict[str, str]:
        return {"action": "schedule_left_out", "function": self._binding.function}
