from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from triggers.abstract import Binding, Health, Trigger, TriggerState
from triggers.intake import Intake
from triggers.kafka.abstract import Normalise
from triggers.kafka.client import SESSION_MS
from triggers.kafka.delivery import Delivery, Tally
from triggers.kafka.errors import KafkaClientMissing, TopicMissing
from triggers.kafka.events import normaliser_of
from triggers.kafka.note import Cut
from triggers.kafka.settings import Cluster, SourceSettings, Start, source_settings
from triggers.kafka.shapes import shape_of
from triggers.kafka.steps import Batches, BatchRule, EachAlone, Stepper

#: How soon a source that could not be read is tried again.
RETRY_SEC = 1.0

#: The function that makes events of the notifications of a `storage` binding.
Notifications = Callable[[Binding], Normalise]


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaTriggers:
    """Makes the adapters of all Kafka sources of a process: `kafka` bindings, and `storage` bindings whose source is
    kafka.

    home: the installation's own brokers; None on the embedded transport. group_prefix: the installation's topic prefix.
    notifications: for storage bindings; None: there are none.
    """

    intake: Intake
    clock: Clock
    home: Cluster | None = None
    group_prefix: str = ""
    notifications: Notifications | None = None
    session_ms: int = SESSION_MS

    def make(self, binding: Binding) -> KafkaTrigger:
        """Raises KafkaClientMissing, NoBrokerNamed, SecretMissing, SecurityFilesUnusable."""
        if importlib.util.find_spec("aiokafka") is None:
            raise KafkaClientMissing
        source = binding.settings if binding.kind == "kafka" else binding.settings["source"]["kafka"]
        settings = source_settings(binding, source, home=self.home, group_prefix=self.group_prefix)
        return KafkaTrigger(binding, self, settings)


class KafkaTrigger(Trigger):
    """Records of a topic become events. An offset is committed once everything before it is durable: a crash in between
    sends the same events again, with the same identities.
    """

    def __init__(self, binding: Binding, shared: KafkaTriggers, settings: SourceSettings) -> None:
        self._binding = binding
        self._shared = shared
        self._settings = settings
        self._make_stepper = _steppers(binding, shared.notifications, settings.cluster.bootstrap_servers)
        self._tally = Tally()
        self._stopped = False

    @property
    def health(self) -> Health:
        tally = self._tally
        return Health(
            state=self._state(),
            reason=str(tally.trouble) if tally.trouble else "",
            remedy=tally.trouble.remedy if tally.trouble else "",
            accepted=tally.accepted,
            rejected=tally.rejected,
            last_event_ms=tally.last_event_ms,
            lag=tally.lag if tally.watching else None,
        )

    async def run(self) -> None:
        try:
            while True:
                try:
                    await self._session()
                except HeadraceError as error:
                    self._wait_for(error)
                await asyncio.sleep(RETRY_SEC)
        finally:
            self._stopped = True

    async def _session(self) -> None:
        from triggers.kafka.session import Session  # it needs the client, which may not be installed

        shared = self._shared
        await Session(
            settings=self._settings,
            delivery=Delivery(self._binding, shared.intake, shared.clock, self._tally),
            make_stepper=self._make_stepper,
            tally=self._tally,
            clock=shared.clock,
            session_ms=shared.session_ms,
        ).run()

    def _wait_for(self, error: HeadraceError) -> None:
        if isinstance(error, TopicMissing):
            # Nothing can be in it that is older than this: `latest` would lose what comes before we have joined.
            self._settings = replace(self._settings, start=Start.EARLIEST)
        self._tally.watching, self._tally.trouble = False, error

    def _state(self) -> TriggerState:
        if self._stopped:
            return TriggerState.STOPPED
        if self._tally.watching:
            return TriggerState.WATCHING
        return TriggerState.WAITING if self._tally.trouble else TriggerState.STARTING


def _steppers(
    binding: Binding, notifications: Notifications | None, bootstrap_servers: str
) -> Callable[[int, int, Sequence[Cut]], Stepper]:
    if binding.kind != "kafka":
        assert notifications is not None, "this process reads no notifications"
        alone = EachAlone(notifications(binding))
        return lambda partition, begin, cuts: alone
    rule = _batch_rule(binding.settings, binding.event_format, bootstrap_servers)
    if rule is not None:
        return lambda partition, begin, cuts: Batches(rule, partition, begin, cuts)
    each = EachAlone(normaliser_of(binding, bootstrap_servers))
    return lambda partition, begin, cuts: each


def _batch_rule(settings: Mapping[str, Any], event_format: str, bootstrap_servers: str) -> BatchRule | None:
    most = int(settings.get("max_records", 1))
    if most == 1:
        return None
    shape = shape_of(event_format, str(settings.get("value", "auto")), bootstrap_servers)
    return BatchRule(shape=shape, max_records=most, max_wait_sec=float(settings.get("max_wait", 1.0)))
