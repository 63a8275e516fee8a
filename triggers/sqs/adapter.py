from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.core.failpoints import failpoint
from processor.dispatcher.accept import FunctionDisabled, UnknownFunction
from triggers.abstract import Binding, Health, Trigger
from triggers.intake import Intake
from triggers.object_storage.aws import StoreError, StoreForbids
from triggers.object_storage.desk import Desk, Tally
from triggers.sqs.batch import Batch, Received
from triggers.sqs.pace import Pace
from triggers.sqs.queue import DEFAULT_VISIBILITY_SEC, WAIT_SEC, Attributes, Message, Queue, QueueSettings
from triggers.watching import Backoff, WatchingTrigger

log = logging.getLogger(__name__)

#: Between two tries of a queue that cannot be used: doubled up to the limit.
FIRST_PAUSE_SEC = 0.5
LONGEST_PAUSE_SEC = 15.0
_GOING = Backoff(first_sec=LONGEST_PAUSE_SEC, longest_sec=LONGEST_PAUSE_SEC)
#: How often it is asked how many messages wait.
LAG_SEC = 5.0
#: Received this often, a message is a worry: something keeps us from finishing it.
WORRY_COUNT = 3

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class SqsTriggers:
    """Makes the adapters of all `storage` triggers whose source is an SQS queue."""

    intake: Intake
    clock: Clock
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    first_pause_sec: float = FIRST_PAUSE_SEC
    wait_sec: int = WAIT_SEC

    def make(self, binding: Binding) -> Trigger:
        return SqsTrigger(binding, self)


class SqsTrigger(WatchingTrigger):
    """Takes messages, makes their events durable, and deletes them then; on the way out it lets go of the rest.

    The pollers are tasks of the loop; only SQS's calls are on threads. A poller holds one batch at a time, so nothing
    more is received while the broker is away: at most `pollers` batches wait in our hands, the rest in the queue.
    """

    passing = (StoreError, FunctionDisabled, UnknownFunction)

    def __init__(self, binding: Binding, shared: SqsTriggers) -> None:
        first_sec = shared.first_pause_sec
        super().__init__(binding, shared.clock, Backoff(first_sec=first_sec, longest_sec=LONGEST_PAUSE_SEC))
        self._shared = shared
        self._settings = QueueSettings.of(binding.settings["source"]["sqs"], shared.wait_sec)
        self._desk = Desk(shared.intake, binding)
        self._hidden_sec = DEFAULT_VISIBILITY_SEC
        self._threads = ThreadPoolExecutor(2 * self._settings.pollers + 1, f"sqs {self._settings.name}")

    @property
    def tally(self) -> Tally:
        return self._desk.tally

    @property
    def health(self) -> Health:
        """The desk counts, also what a message was that is not done yet."""
        return replace(super().health, accepted=self.tally.accepted, rejected=self.tally.rejected)

    async def let_go(self) -> None:
        self._threads.shutdown(wait=False)

    def backoff_after(self, error: HeadraceError) -> Backoff:
        # A function that is going takes this adapter with it: each further try would count towards the dead letters.
        return self._backoff if isinstance(error, StoreError) else _GOING

    async def watch(self) -> None:
        """One life of a client."""
        queue = await self._call(Queue, self._settings, self._shared.environment)
        try:
            await self._look(queue)
            await _together(self._keep_looking(queue), *(self._poll(queue) for _ in range(self._settings.pollers)))
        finally:
            queue.close()

    async def _poll(self, queue: Queue) -> None:
        pace = Pace()
        while True:
            messages = await self._receive(queue, pace.count)
            self._condition.watching()
            if messages:
                begun_sec = self._clock.boottime()
                await self._take(queue, messages)
                pace.note(self._clock.boottime() - begun_sec, self._hidden_sec)

    async def _receive(self, queue: Queue, count: int) -> list[Message]:
        """A poll that is on its way when we are stopped is waited for: what it brings would stay hidden for long."""
        polling = asyncio.create_task(self._call(queue.receive, count))
        try:
            return await asyncio.shield(polling)
        except asyncio.CancelledError:
            with contextlib.suppress(StoreError):
                await self._release(queue, await polling)
            raise

    async def _take(self, queue: Queue, messages: Sequence[Message]) -> None:
        """Whatever becomes of it: what is durable is deleted, the rest is let go of."""
        batch = Batch([self._received(each) for each in messages])
        try:
            await self._make_durable(batch)
        finally:
            await _to_its_end(self._settle(queue, batch))

    def _received(self, message: Message) -> Received:
        origin = f"sqs:{self._settings.name}/{message.id}"
        if message.receive_count >= WORRY_COUNT:
            log.warning(
                "%s was received %d times", origin, message.receive_count, extra=self._fields("sqs_received_often")
            )
        parsed = self._desk.read(message.body, origin=origin, carrier=origin)
        return Received(message=message, origin=origin, parsed=parsed)

    async def _make_durable(self, batch: Batch) -> None:
        note = self._condition.note_trouble
        for each in batch.received:
            if each.parsed.poison:
                noted = (("receive-count", str(each.message.receive_count).encode()),)
                await self._desk.reject(each.parsed, origin=each.origin, noted=noted, on_trouble=note)
                batch.note_rejected(each)
        while events := batch.waiting():
            batch.note_durable(await self._desk.submit_some(events, on_trouble=note))
            self._condition.last_event_ms = self._clock.unix_ms()
        self._condition.note_accepted(0)

    async def _settle(self, queue: Queue, batch: Batch) -> None:
        if batch.done:
            failpoint("sqs.delete.before")
            failed = await self._call(queue.delete, batch.done)
            failpoint("sqs.delete.after")
            if failed:  # such as a receipt that has run out: they come again, and begin no second run
                log.warning(
                    "%d messages of %s were not deleted", len(failed), self._settings.name,
                    extra=self._fields("sqs_not_deleted"),
                )  # fmt: skip
        await self._release(queue, batch.rest())

    async def _release(self, queue: Queue, messages: Sequence[Message]) -> None:
        if not messages:
            return
        with contextlib.suppress(StoreError):  # then they come back when their time is over
            await self._call(queue.release, messages)
        log.info("%d messages go back to %s", len(messages), self._settings.name, extra=self._fields("sqs_released"))

    async def _keep_looking(self, queue: Queue) -> None:
        while True:
            await asyncio.sleep(LAG_SEC)
            await self._look(queue)

    async def _look(self, queue: Queue) -> None:
        """Raises StoreError, but not when only looking is forbidden."""
        try:
            found: Attributes = await self._call(queue.attributes)
        except StoreForbids:
            self._condition.lag = None
            return
        self._hidden_sec, self._condition.lag = found
        self._condition.watching()

    async def _call(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    def _fields(self, action: str) -> dict[str, str]:
        return {"action": action, "function": self._binding.function, "trigger": self._binding.trigger_id}


async def _together(*works: Coroutine[None, None, None]) -> None:
    """None of them ends but with an error: the first one ends them all. (A TaskGroup would do, but in Python 3.11 it
    leaves the task that waits for it cancelled.)
    """
    tasks = [asyncio.create_task(each) for each in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _to_its_end(work: Coroutine[None, None, None]) -> None:
    """Also when we are cancelled meanwhile."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
