"""One life of a consumer: from joining the group to the first trouble."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.core.failpoints import failpoint
from triggers.kafka.abstract import SourceRecord
from triggers.kafka.delivery import Delivery
from triggers.kafka.look import Look
from triggers.kafka.member import Member, NotOurs, OutOfRange
from triggers.kafka.note import MOST_CUTS, Cut, Note, Resolve, places
from triggers.kafka.settings import SourceSettings
from triggers.kafka.steps import Step, Stepper
from triggers.watching import Condition

log = logging.getLogger(__name__)

#: Records taken from the client at a time.
POLL_RECORDS = 2_000
POLL_SEC = 0.5
#: Events handed to the intake at a time, so that what is in hand is done in milliseconds where the rate allows.
GROUP_EVENTS = 1_000
#: What is in hand may take this long before its partitions are paused and polling goes on beside it.
PAUSE_AFTER_SEC = 1.0
#: Offsets are committed when what was fetched is done, and this often while it is not.
COMMIT_SEC = 1.0
#: What is in hand gets this long when its partitions go; then it is dropped, and done again by their next owner.
SETTLE_SEC = 3.0
#: How often it is looked whether the topic is still there.
LOOK_SEC = 5.0

#: The stepper of a partition, from its committed offset and the cuts that were decided behind that.
MakeStepper = Callable[[int, int, Sequence[Cut]], Stepper]


@dataclass(slots=True)
class _Part:
    """A partition that is ours and has begun."""

    stepper: Stepper
    #: Everything below is done.
    done: int
    #: How many partitions the topic had when the group began; cuts that are decided and not done.
    note: Note
    #: What the coordinator has.
    committed: tuple[int, str] | None = None

    @property
    def commit(self) -> tuple[int, str]:
        return self.done, self.note.text()

    def plan(self, cuts: Sequence[Cut]) -> None:
        """These come first; what an earlier owner decided beyond them stays decided."""
        if cuts:
            later = [each for each in self.note.cuts if each.end > cuts[-1].end]
            self.note = Note(partitions=self.note.partitions, cuts=(*cuts, *later))

    def finish(self, next_offset: int) -> None:
        self.done = next_offset
        if self.note.cuts:
            left = tuple(each for each in self.note.cuts if each.end > next_offset)
            self.note = Note(partitions=self.note.partitions, cuts=left)


@dataclass(kw_only=True)
class Session:
    """`run` ends with a HeadraceError, or when it is cancelled. Nothing is committed that is not durable."""

    settings: SourceSettings
    delivery: Delivery
    make_stepper: MakeStepper
    condition: Condition
    clock: Clock
    session_ms: int
    #: The topic did not exist when it was looked for: a group that has no offsets reads all that is in it.
    waited: bool
    #: Called when it stands in the group's offsets where partitions are read from.
    on_begun: Callable[[], Awaitable[None]]
    _parts: dict[int, _Part] = field(default_factory=dict)
    #: Counts the times that all partitions went: what was in hand before is nobody's afterwards.
    _era: int = 0
    _halting: bool = False
    _work: asyncio.Task[None] | None = None

    async def run(self) -> None:
        async with Look(self.settings) as self._look:
            await self._look.topic()
            self._member = Member(self.settings, self._look.cluster, self.session_ms, self._settle)
            looking = asyncio.create_task(self._keep_looking(), name=f"look at {self.settings.topic}")
            try:
                await self._member.start()
                while not looking.done():
                    await self._turn()
                looking.result()
            finally:
                looking.cancel()
                await asyncio.wait({looking})
                await self._settle()
                await self._member.stop()

    async def _turn(self) -> None:
        try:
            await self._begin_new()
            fetched = await self._member.poll(POLL_RECORDS, self._patience_sec())
            steps = await self._steps_of(fetched)
            if steps:
                await self._do_while_polling(steps)
        except OutOfRange as error:
            await self._begin_again(error.offsets)
        except NotOurs:
            self._forget()
        self.condition.lag = self._member.lag({each: part.done for each, part in self._parts.items()})

    async def _keep_looking(self) -> None:
        """Raises what is wrong with the source, which the consumer itself would not tell."""
        while True:
            await asyncio.sleep(LOOK_SEC)
            await self._look.topic()

    # --- where to begin

    async def _begin_new(self) -> None:
        """With partitions that are new to us. What the client has fetched of them does not count: it is told where to
        go.
        """
        era, new = self._era, self._member.assignment() - self._parts.keys()
        if new:
            found = places(await self._look.committed(), new, 0 if self.waited else self._look.partitions)
            starts = await self._member.start_of([each for each in found if found[each].resolve is Resolve.START])
            lows = await self._member.begin_of([each for each in found if found[each].resolve is Resolve.LOW])
            if era != self._era:
                return  # they went meanwhile
            for each, place in found.items():
                offset = {**starts, **lows}.get(each, 0) if place.offset is None else place.offset
                committed = None if place.offset is None else (offset, place.note.text())
                self._begin(each, offset, place.note, committed)
            # Where `latest` was is written down at once: a restart before the first record must not move it.
            await self._commit()
            await self.on_begun()
        if self._member.joined and not self.condition.is_watching:
            self.condition.watching()
            log.info("reading %s as %s", self.settings.topic, self.settings.group, extra={"action": "kafka_reading"})

    async def _begin_again(self, offsets: Mapping[int, int]) -> None:
        """Retention has overtaken us, or the topic was made anew: on with the first record there is."""
        lows = await self._member.begin_of(offsets)
        for partition in offsets.keys() & self._parts.keys():
            log.warning(
                "%s has no offset %d in partition %d (any more): it is read from %d",
                self.settings.topic,
                offsets[partition],
                partition,
                lows[partition],
                extra={"action": "kafka_gap", "partition": partition, "offset": lows[partition]},
            )
            self._begin(partition, lows[partition], Note(partitions=self._parts[partition].note.partitions), None)
        await self._commit()

    def _begin(self, partition: int, offset: int, note: Note, committed: tuple[int, str] | None) -> None:
        self._member.seek(partition, offset)
        self._parts[partition] = _Part(self.make_stepper(partition, offset, note.cuts), offset, note, committed)

    # --- records to steps

    async def _steps_of(self, fetched: Mapping[int, Sequence[SourceRecord]]) -> list[Step]:
        era, now_sec = self._era, self.clock.boottime()
        steps: list[Step] = []
        for partition, records in fetched.items():
            if partition in self._parts:  # else it was assigned a moment ago, and begins with the next turn
                steps += self._parts[partition].stepper.take(records, now_sec)
        for partition, part in list(self._parts.items()):
            if part.stepper.waits:
                steps += part.stepper.due(await self._member.position(partition), now_sec)
        return steps if era == self._era else []

    def _patience_sec(self) -> float:
        due = [at for part in self._parts.values() if (at := part.stepper.due_at_sec) is not None]
        return max(min(min(due, default=float("inf")) - self.clock.boottime(), POLL_SEC), 0.01)

    # --- steps to the intake

    async def _do_while_polling(self, steps: list[Step]) -> None:
        work = self._work = asyncio.create_task(self._do(steps), name=f"intake of {self.settings.topic}")
        while not (await asyncio.wait({work}, timeout=PAUSE_AFTER_SEC))[0]:
            await self._poll_paused()
        self._work = None
        self._member.resume()
        if not work.cancelled():  # by _settle, because the partitions went
            work.result()

    async def _poll_paused(self) -> None:
        """So that nobody takes us for dead while the function's rate holds us up. Records that come all the same, of
        partitions assigned a moment ago, are fetched again.
        """
        self._member.pause()
        with contextlib.suppress(OutOfRange):  # it comes again
            for partition, records in (await self._member.poll(POLL_RECORDS, 0.0)).items():
                self._member.seek(partition, records[0].offset)

    async def _do(self, steps: list[Step]) -> None:
        era, commit_at_sec = self._era, self.clock.boottime() + COMMIT_SEC
        for group in groups(steps):
            if group[0].cut is not None:
                await self._write_down(group)
            async for done in self.delivery.deliver(group):
                if era != self._era:
                    return
                for step in done:
                    self._parts[step.partition].finish(step.next_offset)
                if self._halting:
                    return
                if self.clock.boottime() >= commit_at_sec:
                    await self._commit()
                    commit_at_sec = self.clock.boottime() + COMMIT_SEC
        await self._commit()

    async def _write_down(self, group: Sequence[Step]) -> None:
        """Batches are decided before they are sent: after a crash they are cut in the same places."""
        for partition, part in self._parts.items():
            part.plan([each.cut for each in group if each.partition == partition and each.cut is not None])
        await self._commit()

    async def _commit(self, limit_sec: float | None = None) -> None:
        """How far everything is done. Raises NotOurs, SourceTrouble."""
        wanted = {each: part.commit for each, part in self._parts.items() if part.commit != part.committed}
        if not wanted:
            return
        parts = dict(self._parts)
        failpoint("kafka.commit.before")
        await (self._member.commit(wanted, limit_sec) if limit_sec else self._member.commit(wanted))
        failpoint("kafka.commit.after")
        for partition, what in wanted.items():
            parts[partition].committed = what

    # --- letting go

    async def _settle(self) -> None:
        """Before partitions go: what is in hand is done or dropped, and what is done is committed."""
        work = self._work
        if work is not None:
            self._halting = True
            await asyncio.wait({work}, timeout=SETTLE_SEC)
            work.cancel()
            await asyncio.wait({work})
        with contextlib.suppress(HeadraceError):  # then it is done again, and its repeats are recognised
            await self._commit(SETTLE_SEC)
        self._forget()
        self._halting = False

    def _forget(self) -> None:
        """All partitions begin anew, from what is committed."""
        self._era += 1
        self._parts.clear()


def groups(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    """What is handed to the intake together. Cuts of one group have to fit into a commit."""
    first = events = 0
    for number, step in enumerate(steps):
        if number > first and (events + len(step.events) > GROUP_EVENTS or (step.cut and number - first >= MOST_CUTS)):
            yield steps[first:number]
            first, events = number, 0
        events += len(step.events)
    if first < len(steps):
        yield steps[first:]
