"""The folder adapter on a real folder, with inotify; only the intake log behind it is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from processor.core.clock import SystemClock
from processor.core.codec import decode_structured
from processor.core.event import Event
from processor.core.function import Function, FunctionVersion
from processor.dispatcher.accept import Acceptor
from processor.transport.abstract import Appended, Appender, Headers, Outcome
from triggers.abstract import Binding, TriggerState
from triggers.folder import FolderSeen, FolderTrigger, FolderTriggers
from triggers.folder.file_event import Identity
from triggers.intake import Intake

LIMIT_SEC = 30.0
FUNCTION = Function(name="f", current=FunctionVersion(version="v", handler="m:f", code_digest="0" * 64))


class IntakeLog(Appender):
    """Keeps what was appended; the first `failures` appends are UNKNOWN although they are kept too."""

    def __init__(self, failures: int = 0) -> None:
        self.events: list[Event] = []
        self.failures = failures
        self.arrived = asyncio.Event()

    async def start(self) -> None: ...

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Appended:
        event = decode_structured(value or b"")
        assert isinstance(event, Event)
        self.events.append(event)
        self.arrived.set()
        if self.failures:
            self.failures -= 1
            return Appended(outcome=Outcome.UNKNOWN, reason="the disk hiccups")
        return Appended(outcome=Outcome.YES, partition=0, offset=len(self.events))

    async def stop(self) -> None: ...

    @property
    def keys(self) -> list[str]:
        return [orjson.loads(each.data or b"")["key"] for each in self.events]


class Rig:
    def __init__(
        self, base: Path, folder: Path, settle_sec: float, limit_sec: float, failures: int, **settings: object
    ) -> None:
        self.folder = folder
        self.intake = IntakeLog(failures)
        clock = SystemClock()
        self.seen = FolderSeen(base / "triggers.db", clock)
        acceptor = Acceptor(functions={"f": FUNCTION}.get, appender=self.intake, clock=clock)
        self._shared = FolderTriggers(
            intake=Intake(acceptor, self.intake),
            seen=self.seen,
            clock=clock,
            settle_sec=settle_sec,
            limit_sec=limit_sec,
        )
        given = {"path": str(self.folder), "pattern": "*", "event_format": "data", **settings}
        self._binding = Binding(function="f", creation=1, kind="folder", settings=given)
        self.trigger = FolderTrigger(self._binding, self._shared)
        self.running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.running = asyncio.create_task(self.trigger.run())

    async def stop(self) -> None:
        assert self.running is not None
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running

    async def restart(self) -> None:
        """As when it is paused and resumed: by another adapter."""
        await self.stop()
        self.trigger = FolderTrigger(self._binding, self._shared)
        self.start()

    async def until_keys(self, *keys: str) -> None:
        async with asyncio.timeout(LIMIT_SEC):
            while not set(keys) <= set(self.intake.keys):
                self.intake.arrived.clear()
                await self.intake.arrived.wait()

    async def until(self, reached: Callable[[], bool]) -> None:
        """For what tells nobody that it has happened."""
        async with asyncio.timeout(LIMIT_SEC):
            while True:
                if reached():
                    return
                await asyncio.sleep(0.01)

    async def until_watching(self) -> None:
        await self.until(lambda: self.trigger.health.state is TriggerState.WATCHING)

    async def until_remembered(self, count: int) -> None:
        await self.until(lambda: self.trigger.health.accepted == count)

    def knows(self, path: Path) -> bool:
        """The file as it is now is written down."""
        return self.seen.knows(f"f.1 {self.folder}", path.name, Identity.of(path.stat()))

    def drop(self, key: str, text: str = "x") -> Path:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@asynccontextmanager
async def rig_in(
    base: Path,
    *,
    folder: Path | None = None,
    settle_sec: float = 0.05,
    limit_sec: float = LIMIT_SEC,
    failures: int = 0,
    make: bool = True,
    **settings: object,
) -> AsyncIterator[Rig]:
    """folder: left out: one below base. settle_sec: of files that are found, and of empty ones. limit_sec: of a call
    into the folder.
    """
    rig = Rig(base, folder or base / "in", settle_sec, limit_sec, failures, **settings)
    if make:
        rig.folder.mkdir(exist_ok=True)
    rig.start()
    try:
        yield rig
        assert rig.running is not None
        assert not rig.running.done(), "the adapter ended by itself"
    finally:
        await rig.stop()
        rig.seen.close()


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())
