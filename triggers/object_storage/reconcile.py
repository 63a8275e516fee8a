"""The cure for notifications that got lost: what is in the bucket and has no run, gets one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from processor.core.clock import Clock
from processor.core.event import Event
from processor.dispatcher.accept import Receipt
from triggers.abstract import Binding
from triggers.intake import Trouble
from triggers.object_storage.aws import Access
from triggers.object_storage.change import content_mark
from triggers.object_storage.desk import Desk
from triggers.object_storage.known import KnownObjects, ObjectRef
from triggers.object_storage.listing import Bucket, Listed, change_of
from triggers.object_storage.object_event import event_of

log = logging.getLogger(__name__)

MIN_AGE_SEC = 300.0
MAX_AGE_SEC = 7 * 86_400.0

#: Calls something that blocks, with its arguments.
Call = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileSettings:
    access: Access
    #: None: only when somebody asks.
    every_sec: float | None = None
    #: Younger objects may still be announced; older ones may have had a run that the history has forgotten.
    min_age_sec: float = MIN_AGE_SEC
    max_age_sec: float = MAX_AGE_SEC

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ReconcileSettings:
        every = settings.get("every")
        return cls(
            access=Access.of(settings),
            every_sec=None if every is None else float(every),
            min_age_sec=float(settings.get("min_age", MIN_AGE_SEC)),
            max_age_sec=float(settings.get("max_age", MAX_AGE_SEC)),
        )

    def is_due(self, listed: Listed, now_sec: float) -> bool:
        """now_sec: Unix time."""
        return self.min_age_sec <= now_sec - listed.modified.timestamp() <= self.max_age_sec


class Reconciler:
    """One per trigger; used on the event loop."""

    def __init__(
        self,
        *,
        binding: Binding,
        settings: ReconcileSettings,
        desk: Desk,
        known: KnownObjects,
        clock: Clock,
        environment: Mapping[str, str],
    ) -> None:
        self._binding = binding
        self._settings = settings
        self._desk = desk
        self._known = known
        self._clock = clock
        self._environment = environment
        self._one_at_a_time = asyncio.Lock()

    async def run(self, on_trouble: Trouble | None = None) -> list[Receipt]:
        """Once through the bucket. Raises StoreError, HistoryBehind, UnknownFunction, FunctionDisabled: what was
        accepted until then stays so, and the next time finds the rest.
        """
        async with self._one_at_a_time:
            # A thread of its own: a service that never answers must not keep the loop's threads from other triggers.
            thread = ThreadPoolExecutor(1, f"reconcile {self._desk.rules.bucket}")
            try:
                return await self._walk(partial(asyncio.get_running_loop().run_in_executor, thread), on_trouble)
            finally:
                thread.shutdown(wait=False)

    async def _walk(self, call: Call, on_trouble: Trouble | None) -> list[Receipt]:
        bucket = await call(Bucket, self._desk.rules.bucket, self._settings.access, self._environment)
        try:
            return await self._pages(bucket, call, on_trouble)
        finally:
            bucket.close()

    async def _pages(self, bucket: Bucket, call: Call, on_trouble: Trouble | None) -> list[Receipt]:
        receipts: list[Receipt] = []
        seen, token = 0, None
        while True:
            page = await call(bucket.page, self._desk.rules.prefix, token)
            seen += len(page.objects)
            receipts += await self._submit_missing(page.objects, on_trouble)
            if (token := page.token) is None:
                log.info(
                    "%s: %d objects, %d had no run", self._binding, seen, len(receipts),
                    extra={"action": "storage_reconciled", "function": self._binding.function},
                )  # fmt: skip
                return receipts

    async def _submit_missing(self, objects: Sequence[Listed], on_trouble: Trouble | None) -> list[Receipt]:
        now_sec = self._clock.unix_ms() / 1000
        rules = self._desk.rules
        due = [each for each in objects if rules.wants_key(each.key) and self._settings.is_due(each, now_sec)]
        if not due:
            return []
        candidates = dict(self._referred(each) for each in due)
        # After the listing, so that whatever was announced before it is known by now.
        await self._known.caught_up()
        known = await self._known.known(self._binding.function, candidates.keys())
        missing = [event for reference, event in candidates.items() if reference not in known]
        return await self._desk.submit(missing, origin=f"listing of {rules.bucket}", on_trouble=on_trouble)

    def _referred(self, listed: Listed) -> tuple[ObjectRef, Event]:
        change = change_of(listed, self._desk.rules)
        event = event_of(change, self._desk.rules)
        mark = content_mark(change.etag, change.size)
        return ObjectRef(event.source, event.subject or "", mark or ""), event
