"""What the roles of one process share, and what a role is."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from processor.cli.connect import await_broker, check_topics, make_transport
from processor.cli.history_store import make_history
from processor.cli.settings import Settings
from processor.core.clock import SystemClock
from processor.core.topics import TOPICS
from processor.recorder.store import HistoryStore
from processor.registry.code_store import CodeStore
from processor.registry.registry import Registry
from processor.transport.abstract import Transport

_CALL_SEC = 30.0
#: One wait for a service that is stopping; a cancelled stop must not leave a thread waiting for a day.
_JOIN_SEC = 0.5


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
        self.store: HistoryStore = make_history(self.settings)
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

    def finished(self) -> bool:
        """It ended because it was asked to, otherwise than by `stop`: its process is of no more use."""
        return False


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
