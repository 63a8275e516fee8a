from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from processor.core.clock import Clock
from triggers.abstract import Binding, MissingSources
from triggers.intake import Intake
from triggers.kafka.abstract import Normalise
from triggers.kafka.client import SESSION_MS
from triggers.kafka.delivery import Delivery
from triggers.kafka.errors import KafkaClientMissing, TopicMissing
from triggers.kafka.events import normaliser_of
from triggers.kafka.note import Cut
from triggers.kafka.settings import Cluster, SourceSettings, source_settings
from triggers.kafka.shapes import shape_of
from triggers.kafka.steps import Batches, BatchRule, EachAlone, Stepper
from triggers.watching import Backoff, WatchingTrigger

#: How soon a source that could not be read is tried again.
RETRY_SEC = 1.0

#: The function that makes events of the notifications of a `storage` binding.
Notifications = Callable[[Binding], Normalise]


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaTriggers:
    """Makes the adapters of all Kafka sources of a process: `kafka` bindings, and `storage` bindings whose source is
    kafka.

    home: the installation's own brokers; None on the embedded transport. group_prefix: the installation's topic prefix.
    notifications: for storage bindings; None: there are none. missing: None: a restart forgets that a topic was waited
    for.
    """

    intake: Intake
    clock: Clock
    home: Cluster | None = None
    group_prefix: str = ""
    notifications: Notifications | None = None
    missing: MissingSources | None = None
    session_ms: int = SESSION_MS

    def make(self, binding: Binding) -> KafkaTrigger:
        """Raises KafkaClientMissing, NoBrokerNamed, SecretMissing, SecurityFilesUnusable."""
        if importlib.util.find_spec("aiokafka") is None:
            raise KafkaClientMissing
        return KafkaTrigger(binding, self, self.settings_of(binding))

    def settings_of(self, binding: Binding) -> SourceSettings:
        """Reads secrets and TLS files. Raises NoBrokerNamed, SecretMissing, SecurityFilesUnusable."""
        source = binding.settings if binding.kind == "kafka" else binding.settings["source"]["kafka"]
        return source_settings(binding, source, home=self.home, group_prefix=self.group_prefix)


class KafkaTrigger(WatchingTrigger):
    """Records of a topic become events. An offset is committed once everything before it is durable: a crash in between
    sends the same events again, with the same identities.
    """

    def __init__(self, binding: Binding, shared: KafkaTriggers, settings: SourceSettings) -> None:
        super().__init__(binding, shared.clock, Backoff(first_sec=RETRY_SEC, longest_sec=RETRY_SEC))
        self._shared = shared
        self._waited = False
        self._make_stepper = _steppers(binding, shared.notifications, settings.cluster.bootstrap_servers)

    async def watch(self) -> None:
        try:
            await self._session()
        except TopicMissing as error:
            self._condition.waiting(error)  # shown also while our own log is away, which the note waits for
            await self._note_missing()
            raise

    async def _session(self) -> None:
        from triggers.kafka.session import Session  # it needs the client, which may not be installed

        shared = self._shared
        await Session(
            # Anew each time: whoever corrects a certificate or a key file is not made to restart the role.
            settings=await asyncio.to_thread(shared.settings_of, self._binding),
            delivery=Delivery(self._binding, shared.intake, self._condition),
            make_stepper=self._make_stepper,
            condition=self._condition,
            clock=shared.clock,
            session_ms=shared.session_ms,
            waited=self._was_missing(),
            on_begun=self._forget_missing,
        ).run()

    def _was_missing(self) -> bool:
        missing = self._shared.missing
        return self._waited or (missing is not None and missing.was_missing(self._binding.trigger_id))

    async def _note_missing(self) -> None:
        """In this process and beyond it: the topic may be made, and filled, while no process looks."""
        self._waited, missing = True, self._shared.missing
        if missing is not None and not missing.was_missing(self._binding.trigger_id):
            await missing.note_missing(self._binding.trigger_id)

    async def _forget_missing(self) -> None:
        """From now on the group's offsets tell, to every replica (triggers/kafka/note.py)."""
        was_missing, missing = self._was_missing(), self._shared.missing
        self._waited = False
        if was_missing and missing is not None:
            await missing.forget_missing(self._binding.trigger_id)


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
