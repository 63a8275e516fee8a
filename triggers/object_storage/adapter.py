from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.dispatcher.accept import Receipt
from triggers.abstract import AdapterFactory, Binding, Health, NotFirable, Trigger
from triggers.intake import Intake
from triggers.object_storage.desk import Desk
from triggers.object_storage.known import KnownObjects
from triggers.object_storage.reconcile import Reconciler, ReconcileSettings

log = logging.getLogger(__name__)

#: A reconciliation that failed is tried again this soon, or with its next turn if that comes first.
RETRY_SEC = 60.0


class ChannelMissing(HeadraceError):
    """This process has no adapter for the channel of this trigger."""

    remedy = "Use another source in the manifest, or a version that has it."


class NothingToReconcile(NotFirable):
    """This storage trigger cannot be fired: to fire one is to reconcile its bucket."""

    remedy = "Add `reconcile: {}` to the trigger (with events that create objects), and deploy."


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageTriggers:
    """Makes the adapters of all `storage` triggers of a process: the channel that the manifest names, and beside it
    what reconciles.

    channels: by the name that `source` has in the manifest (kafka, sqs, webhook). known: None where there is no history
    to ask; then nothing is reconciled.
    """

    intake: Intake
    clock: Clock
    channels: Mapping[str, AdapterFactory]
    known: KnownObjects | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def make(self, binding: Binding) -> Trigger:
        """Raises ChannelMissing and what the channel's own factory raises."""
        source = next((name for name, value in binding.settings["source"].items() if value is not None), "")
        factory = self.channels.get(source)
        if factory is None:
            raise ChannelMissing(f"this process has no adapter for the source {source!r} of {binding}")
        return StorageTrigger(binding, factory(binding), self)


class StorageTrigger(Trigger):
    """A channel, and a reconciliation now and then. What befalls one does not stop the other."""

    def __init__(self, binding: Binding, channel: Trigger, shared: StorageTriggers) -> None:
        self._binding = binding
        self._channel = channel
        self._clock = shared.clock
        self._desk = Desk(shared.intake, binding)
        self._every_sec: float | None = None
        self._reconciler: Reconciler | None = None
        self._trouble: HeadraceError | None = None
        self._last_event_ms: int | None = None
        wanted = binding.settings.get("reconcile")
        if wanted is not None and shared.known is not None and self._desk.rules.wants_created:
            settings = ReconcileSettings.of(wanted)
            self._every_sec = settings.every_sec
            self._reconciler = Reconciler(
                binding=binding,
                settings=settings,
                desk=self._desk,
                known=shared.known,
                clock=shared.clock,
                environment=shared.environment,
            )

    @property
    def health(self) -> Health:
        health, trouble = self._channel.health, self._trouble
        if trouble is not None and not health.reason:
            health = replace(health, reason=f"reconcile: {trouble}", remedy=trouble.remedy)
        return replace(
            health,
            accepted=health.accepted + self._desk.tally.accepted,
            rejected=health.rejected + self._desk.tally.rejected,
            last_event_ms=max(health.last_event_ms or 0, self._last_event_ms or 0) or None,
        )

    async def run(self) -> None:
        reconciling = asyncio.create_task(self._keep_reconciling(), name=f"reconcile {self._binding}")
        try:
            await self._channel.run()
        finally:
            reconciling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reconciling

    async def fire(self) -> list[Receipt]:
        """Reconciles now. Raises NotFirable, StoreError, HistoryBehind."""
        if self._reconciler is None:
            raise NothingToReconcile
        receipts = await self._reconciler.run(self._note)
        self._trouble = None
        if receipts:
            self._last_event_ms = self._clock.unix_ms()
        return receipts

    async def _keep_reconciling(self) -> None:
        if self._every_sec is None or self._reconciler is None:
            return
        while True:
            failed = await self._try_to_reconcile()
            await asyncio.sleep(min(RETRY_SEC, self._every_sec) if failed else self._every_sec)

    async def _try_to_reconcile(self) -> bool:
        """Whether it failed."""
        try:
            await self.fire()
        except HeadraceError as error:
            log.warning("%s was not reconciled: %s. %s", self._binding, error, error.remedy, extra=self._fields())
            self._trouble = error
        except Exception as error:  # the channel goes on, and so does the next turn
            log.exception("%s was not reconciled", self._binding, extra=self._fields())
            self._trouble = HeadraceError(f"{type(error).__name__}: {error}", remedy="It is tried again by itself.")
        else:
            return False
        return True

    def _note(self, error: HeadraceError) -> None:
        self._trouble = error

    def _fields(self) -> dict[str, str]:
        action = "storage_reconcile_failed"
        return {"action": action, "function": self._binding.function, "trigger": self._binding.trigger_id}
