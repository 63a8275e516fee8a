"""The role that runs the triggers: their adapters, and what those share."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from processor.cli.site import Role, Site
from processor.core.topics import INTAKE

if TYPE_CHECKING:
    from triggers.abstract import MissingSources
    from triggers.host import TriggerHost
    from triggers.http import Listener
    from triggers.intake import Intake
    from triggers.kafka import KafkaTriggers
    from triggers.object_storage import StorageTriggers

_CALL_SEC = 30.0
#: Of appends in bulk; their flush does not wait for it.
_BULK_LINGER_MS = 5
#: Until the ready line can say at which address triggers are called.
_LISTENER_LIMIT_SEC = 2.0


class TriggersRole(Role):
    name = "triggers"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._stopping = False
        self._host: TriggerHost | None = None

    async def start(self) -> str:
        from processor.dispatcher.accept import Acceptor
        from processor.dispatcher.bulk import BulkAppender
        from processor.http.idempotency import IdempotencyKeys
        from processor.http.once import OnceAcceptor
        from triggers.control import TriggerControl
        from triggers.folder import FolderSeen, FolderTriggers
        from triggers.host import TriggerHost
        from triggers.http import HttpTriggers
        from triggers.intake import Intake
        from triggers.schedule import ScheduleTriggers

        site, folder = self._site, self._site.settings.folder
        partitions = (await asyncio.to_thread(site.transport.admin().topics, _CALL_SEC))[INTAKE.name]
        self._appender = site.transport.appender()
        await self._appender.start()
        self._bulk = BulkAppender(partial(site.transport.producer, linger_ms=_BULK_LINGER_MS))
        acceptor = Acceptor(
            functions=site.registry.view.get,
            appender=self._appender,
            clock=site.clock,
            intake_partitions=partitions,
            bulk=self._bulk,
        )
        self._seen = FolderSeen(site.settings.state_dir / "triggers.db", site.clock)
        intake = Intake(acceptor, self._appender)
        folders = FolderTriggers(
            intake=intake,
            seen=self._seen,
            clock=site.clock,
            settle_sec=folder.settle_sec,
            rescan_sec=folder.rescan_sec,
        )
        self._listener = _listener(site)
        once = OnceAcceptor(acceptor, IdempotencyKeys(site.clock))
        called = HttpTriggers(listener=self._listener, once=once, clock=site.clock)
        self._schedules = ScheduleTriggers(
            intake=intake, transport=site.transport, appender=self._appender, clock=site.clock
        )
        self._schedules.start()
        control = TriggerControl(
            transport=site.transport,
            appender=self._appender,
            clock=site.clock,
            name=site.settings.executor.name,
        )
        self._host = TriggerHost(
            registry=site.registry,
            adapters={
                "folder": folders.make,
                "http": called.make,
                "kafka": _kafka_sources(site, intake, control).make,
                "schedule": self._schedules.make,
                "storage": _storage(site, intake, self._listener, control).make,
            },
            clock=site.clock,
            control=control,
        )
        await self._host.start()
        return ", ".join(filter(None, (self._host.summary(), await self._listener_url())))

    async def _listener_url(self) -> str | None:
        """Where this process is called, if it is."""
        from triggers.abstract import TriggerState
        from triggers.http import is_called

        assert self._host is not None  # started
        starting = (each for each, health in self._host.health() if health.state is TriggerState.STARTING)
        if any(is_called(each.kind, each.settings) for each in starting):
            await self._listener.settled(_LISTENER_LIMIT_SEC)
        return self._listener.url

    async def stop(self) -> None:
        self._stopping = True
        if self._host is not None:
            await self._listener.stop()
            await self._host.stop()
            await self._schedules.stop()
            await self._bulk.stop()
            await self._appender.stop()
            await asyncio.to_thread(self._seen.close)

    def kill(self) -> None:
        self._stopping = True
        if self._host is not None:
            self._listener.kill()

    def failed(self) -> bool:
        return not self._stopping and self._host is not None and self._host.failed


def _kafka_sources(site: Site, intake: Intake, missing: MissingSources) -> KafkaTriggers:
    """Also on the embedded log, where a trigger has to name its brokers."""
    from triggers.kafka import Cluster, KafkaTriggers
    from triggers.object_storage.kafka_channel import normaliser_of

    own, home = site.settings.kafka, None
    if site.settings.transport == "kafka":
        from processor.transport.kafka.security import for_asyncio

        home = Cluster(bootstrap_servers=own.bootstrap_servers, options=for_asyncio(own.security))
    return KafkaTriggers(
        intake=intake,
        clock=site.clock,
        home=home,
        group_prefix=own.topic_prefix,
        notifications=normaliser_of,
        missing=missing,
    )


def _storage(site: Site, intake: Intake, listener: Listener, missing: MissingSources) -> StorageTriggers:
    from processor.cli.known_objects import KnownFromHistory
    from triggers.http import StorageWebhooks
    from triggers.object_storage import StorageTriggers
    from triggers.sqs import SqsTriggers

    return StorageTriggers(
        intake=intake,
        clock=site.clock,
        channels={
            "kafka": _kafka_sources(site, intake, missing).make,
            "sqs": SqsTriggers(intake=intake, clock=site.clock).make,
            "webhook": StorageWebhooks(listener=listener, intake=intake, clock=site.clock).make,
        },
        known=KnownFromHistory(store=site.store, transport=site.transport, clock=site.clock),
    )


def _listener(site: Site) -> Listener:
    from processor.http.server import Address
    from triggers.http import Listener

    return Listener(
        Address(
            host=site.settings.triggers.host,
            port=site.settings.listener_port,
            owner="the listener of the triggers",
            setting="HEADRACE_TRIGGERS__PORT",
        ),
        functions=site.registry.view.all,
    )
