"""The roles, and the only place that builds them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from processor.cli.layers import masked
from processor.cli.site import Role, Site, ThreadedRole
from processor.cli.trigger_role import TriggersRole

if TYPE_CHECKING:
    from processor.executor.name_lock import NameLock
    from processor.executor.service import ExecutorService

#: The first reading of the topics by the recorder; past it something is wrong, and it says so itself.
_RECORDER_LIMIT_SEC = 15.0


class RecorderRole(ThreadedRole):
    def __init__(self, site: Site) -> None:
        from processor.recorder.service import RecorderService

        self._recorder = RecorderService(transport=site.transport, store=site.store, clock=site.clock)
        super().__init__("recorder", [self._recorder], site.store.place)

    async def start(self) -> str:
        about = await super().start()
        await asyncio.to_thread(self._recorder.reading.wait, _RECORDER_LIMIT_SEC)
        return about


class ExecutorRole(ThreadedRole):
    """Holds the lock of its name for as long as this process or its guard lives."""

    def __init__(self, site: Site) -> None:
        from processor.executor.name_lock import NameLock

        wanted = site.settings.executor
        folder = (site.settings.state_dir / "executor").absolute()
        self._lock = NameLock(folder, wanted.name)
        service = _executor(site, folder / wanted.name, self._lock)
        self._service = service
        super().__init__("executor", [service], f"{wanted.name} slots={wanted.slots}")

    async def stop(self) -> None:
        await super().stop()
        self._lock.release()

    def failed(self) -> bool:
        return not self._service.drain_requested and super().failed()

    def finished(self) -> bool:
        return self._service.drain_requested and self._service.join(0)


def _executor(site: Site, folder: Path, lock: NameLock) -> ExecutorService:
    from processor.executor.containment import Containment
    from processor.executor.incarnation import ExecutorSettings
    from processor.executor.options import PoolOptions
    from processor.executor.pool import InstancePool
    from processor.executor.service import ExecutorService
    from processor.recovery.boot import recover_earlier_incarnations

    wanted = site.settings.executor
    options = PoolOptions(
        data_dir=folder,
        slots=wanted.slots,
        max_instances=wanted.max_instances,
        containment=Containment(wanted.containment),
        max_processes=wanted.max_processes,
        lock_fd=lock.descriptor,
    )
    return ExecutorService(
        transport=site.transport,
        registry=site.registry,
        code_store=site.code,
        clock=site.clock,
        settings=ExecutorSettings(
            name=wanted.name,
            data_dir=folder,
            slots=wanted.slots,
            isolation_limit_sec=wanted.isolation_limit_sec,
            drain_limit_sec=wanted.drain_limit_sec,
        ),
        pool=partial(InstancePool, options=options, clock=site.clock),
        recover_earlier=partial(recover_earlier_incarnations, site.transport, site.clock, wanted.name)
        if lock.held
        else None,
    )


def _dispatcher(site: Site) -> Role:
    from processor.dispatcher.janitor import JanitorService
    from processor.dispatcher.service import DispatcherService
    from processor.recovery.reconciler import ReconcilerService
    from processor.recovery.service import RecoveryService

    name = site.settings.executor.name
    dispatcher = DispatcherService(transport=site.transport, registry=site.registry, clock=site.clock)
    recovery = RecoveryService(transport=site.transport, clock=site.clock, name=name)
    reconciler = ReconcilerService(transport=site.transport, clock=site.clock, name=name)
    janitor = JanitorService(transport=site.transport)
    return ThreadedRole("dispatcher", [dispatcher, recovery, reconciler, janitor])


class GatewayRole(Role):
    name = "gateway"

    def __init__(self, site: Site) -> None:
        from processor.gateway.service import Gateway

        wanted = site.settings.gateway
        self._stopping = False
        self._serving: asyncio.Task[None] | None = None
        self._gateway = Gateway(
            transport=site.transport,
            store=site.store,
            registry=site.registry,
            code=site.code,
            clock=site.clock,
            host=wanted.host,
            port=wanted.port,
            about=masked(site.settings),
        )

    @property
    def url(self) -> str:
        return self._gateway.url

    async def start(self) -> str:
        await self._gateway.start()
        self._serving = asyncio.create_task(self._gateway.serve())
        await self._gateway.ready()
        return self._gateway.url

    async def stop(self) -> None:
        self._stopping = True
        await self._gateway.stop()

    def kill(self) -> None:
        self._stopping = True
        self._gateway.kill()

    def failed(self) -> bool:
        return not self._stopping and self._serving is not None and self._serving.done()


#: In the order of their start. They stop in the opposite order, which is written down here and nowhere else: first
#: nothing more is accepted, then the runs come to their end, then their verdicts are recorded.
ROLES: dict[str, Callable[[Site], Role]] = {
    "recorder": RecorderRole,
    "dispatcher": _dispatcher,
    "executor": ExecutorRole,
    "gateway": GatewayRole,
    "triggers": TriggersRole,
}
