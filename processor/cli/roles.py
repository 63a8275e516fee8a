"""The roles, and the only place that builds them."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from processor.cli.connect import await_broker, check_topics, make_transport
from processor.cli.settings import Settings
from processor.core.clock import SystemClock
from processor.core.topics import INTAKE, TOPICS
from processor.recorder.sqlite import SqliteHistoryStore
from processor.registry.code_store import CodeStore
from processor.registry.registry import Registry
from processor.transport.abstract import Transport

if TYPE_CHECKING:
    from processor.executor.name_lock import NameLock
    from triggers.host import TriggerHost

_CALL_SEC = 30.0
#: One wait for a service that is stopping; a cancelled stop must not leave a thread waiting for a day.
_JOIN_SEC = 0.5
#: The first reading of the topics by the recorder; past it something is wrong, and it says so itself.
_RECORDER_LIMIT_SEC = 15.0


class Service(Protocol):
    """A part with threads of its own."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def join(self, timeout_sec: float) -> bool: ...
    def kill(self) -> None: ...


class Site:
    """What the roles of one process share. `open` blocks; everything else of it is thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.code = CodeStore(settings.data_dir / "code", data_dir=settings.data_dir)
        self._opened: list[Callable[[], None]] = []

    def open(self, say: Callable[[str], None], stopping: threading.Event) -> bool:
        """Connects and reads the functions. False: stopped while it was waiting. Raises TransportError."""
        self.transport: Transport = make_transport(self.settings)
        self._opened.append(self.transport.close)
        if self.settings.transport == "embedded":
            self.transport.admin().create_topics(TOPICS, _CALL_SEC)
        else:
            existing = await_broker(self.transport, self.settings, say, stopping)
            if stopping.is_set():
                return False
            check_topics(existing, self.settings)
        self.registry = Registry(self.transport, self.clock)
        self._opened.append(self.registry.stop)
        self.registry.start()
        self.store = SqliteHistoryStore(self.settings.history_path)
        self._opened.append(self.store.close)
        return True

    def close(self) -> None:
        while self._opened:
            self._opened.pop()()


class Role(ABC):
    """One role of this process; used on the event loop. Nothing of it blocks the loop."""

    name: str

    @abstractmethod
    async def start(self) -> str:
        """Returns once it serves, with what people want to know about it, for its ready line."""

    @abstractmethod
    async def stop(self) -> None:
        """Asks it to stop, and returns once it has."""

    @abstractmethod
    def kill(self) -> None:
        """Now; a `stop` that is waiting returns soon."""

    @abstractmethod
    def failed(self) -> bool:
        """It ended although nobody asked it to."""


class ThreadedRole(Role):
    def __init__(self, name: str, services: Sequence[Service], about: str = "") -> None:
        self.name = name
        self._services = services
        self._about = about
        self._stopping = False

    async def start(self) -> str:
        for service in self._services:
            service.start()
        return self._about

    async def stop(self) -> None:
        self._stopping = True
        for service in self._services:
            service.stop()
        for service in self._services:
            while not await asyncio.to_thread(service.join, _JOIN_SEC):
                pass

    def kill(self) -> None:
        self._stopping = True
        for service in self._services:
            service.kill()

    def failed(self) -> bool:
        return not self._stopping and any(service.join(0) for service in self._services)


class RecorderRole(ThreadedRole):
    def __init__(self, site: Site) -> None:
        from processor.recorder.service import RecorderService

        self._recorder = RecorderService(transport=site.transport, store=site.store, clock=site.clock)
        super().__init__("recorder", [self._recorder], str(site.settings.history_path))

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
        super().__init__("executor", [service], f"{wanted.name} slots={wanted.slots}")

    async def stop(self) -> None:
        await super().stop()
        self._lock.release()


def _executor(site: Site, folder: Path, lock: NameLock) -> Service:
    from processor.executor.incarnation import ExecutorSettings
    from processor.executor.options import PoolOptions
    from processor.executor.pool import InstancePool
    from processor.executor.service import ExecutorService
    from processor.recovery.boot import recover_earlier_incarnations

    wanted = site.settings.executor
    options = PoolOptions(
        data_dir=folder, slots=wanted.slots, max_instances=wanted.max_instances, lock_fd=lock.descriptor
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
    from processor.recovery.service import RecoveryService

    dispatcher = DispatcherService(transport=site.transport, registry=site.registry, clock=site.clock)
    recovery = RecoveryService(transport=site.transport, clock=site.clock, name=site.settings.executor.name)
    janitor = JanitorService(transport=site.transport)
    return ThreadedRole("dispatcher", [dispatcher, recovery, janitor])


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

    def failed(self) -> bool:
        return not self._stopping and self._serving is not None and self._serving.done()


class TriggersRole(Role):
    name = "triggers"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._stopping = False
        self._host: TriggerHost | None = None

    async def start(self) -> str:
        from processor.dispatcher.accept import Acceptor
        from triggers.folder import FolderSeen, FolderTriggers
        from triggers.host import TriggerHost
        from triggers.intake import Intake

        site, folder = self._site, self._site.settings.folder
        partitions = (await asyncio.to_thread(site.transport.admin().topics, _CALL_SEC))[INTAKE.name]
        self._appender = site.transport.appender()
        await self._appender.start()
        acceptor = Acceptor(
            functions=site.registry.view.get,
            appender=self._appender,
            clock=site.clock,
            intake_partitions=partitions,
        )
        self._seen = FolderSeen(site.settings.state_dir / "triggers.db", site.clock)
        folders = FolderTriggers(
            intake=Intake(acceptor, self._appender),
            seen=self._seen,
            clock=site.clock,
            settle_sec=folder.settle_sec,
            rescan_sec=folder.rescan_sec,
        )
        self._host = TriggerHost(registry=site.registry, adapters={"folder": folders.make}, clock=site.clock)
        await self._host.start()
        return self._host.summary()

    async def stop(self) -> None:
        self._stopping = True
        if self._host is not None:
            await self._host.stop()
            await self._appender.stop()
            await asyncio.to_thread(self._seen.close)

    def kill(self) -> None:
        self._stopping = True

    def failed(self) -> bool:
        return not self._stopping and self._host is not None and self._host.failed


#: In the order of their start. They stop in the opposite order, which is written down here and nowhere else: first
#: nothing more is accepted, then the runs come to their end, then their verdicts are recorded.
ROLES: dict[str, Callable[[Site], Role]] = {
    "recorder": RecorderRole,
    "dispatcher": _dispatcher,
    "executor": ExecutorRole,
    "gateway": GatewayRole,
    "triggers": TriggersRole,
}
