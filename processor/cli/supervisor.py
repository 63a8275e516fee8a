"""Starts the roles of this process, watches them, and stops them in order when asked to by a signal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from processor.cli.errors import CommandFailed
from processor.cli.roles import ROLES
from processor.cli.settings import Settings
from processor.cli.site import Role, Site
from processor.core import failpoints

log = logging.getLogger(__name__)

T = TypeVar("T")

_WATCH_SEC = 0.5
#: A stop that takes longer is explained.
_PATIENCE_SEC = 2.0
#: After the second signal; executors write the verdicts of what they kill.
_KILL_LIMIT_SEC = 15.0


class RoleFailed(CommandFailed):
    """A role ended by itself."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the role {name} ended by itself", remedy="Its own messages above say why; start it again.")


class Signals:
    """SIGINT and SIGTERM: the first asks to stop, a second one to stop now."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.now = asyncio.Event()
        #: `stop`, for threads.
        self.stopping = threading.Event()

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.take)

    def take(self) -> None:
        (self.now if self.stop.is_set() else self.stop).set()
        self.stopping.set()


#: After the site is open and before the first role starts: `dev` deploys the manifest here.
Prepare = Callable[[Site], Awaitable[None]]
#: What runs beside the roles, until they are stopped.
Beside = Callable[[Site], Coroutine[Any, Any, None] | None]


async def run_roles(
    settings: Settings,
    names: Sequence[str],
    say: Callable[[str], None],
    *,
    prepare: Prepare | None = None,
    beside: Beside | None = None,
    at_last: str = "",
) -> None:
    """Returns when everything has stopped. at_last: said once all are ready.
    Raises HeadraceError, also when a role ends by itself.
    """
    if armed := failpoints.arm(os.environ):
        log.warning("armed to kill itself at %s", armed, extra={"action": "failpoint_armed"})
    signals = Signals()
    signals.listen(asyncio.get_running_loop())
    site = Site(settings)
    started: list[Role] = []
    try:
        if not await asyncio.to_thread(site.open, say, signals.stopping):
            return
        if prepare is not None:
            await prepare(site)
        for name in (each for each in ROLES if each in names):
            if signals.stop.is_set():
                break
            role = ROLES[name](site)
            started.append(role)
            about = await role.start()
            say(f"ready {name} {about}".rstrip())
        if at_last and not signals.stop.is_set():
            say(at_last)
        async with _running(beside(site) if beside is not None else None):
            await _watch(started, signals)
    finally:
        await _stop(started, signals, say)
        await asyncio.to_thread(site.close)


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, None] | None) -> AsyncIterator[None]:
    task = asyncio.create_task(work) if work is not None else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _watch(roles: Sequence[Role], signals: Signals) -> None:
    while not signals.stop.is_set():
        for role in roles:
            if role.failed():
                raise RoleFailed(role.name)
        if all(role.finished() for role in roles):
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(signals.stop.wait(), _WATCH_SEC)


async def _stop(roles: Sequence[Role], signals: Signals, say: Callable[[str], None]) -> None:
    for role in reversed(roles):
        say(f"stopping {role.name}")
        await _stop_one(role, roles, signals, say)


async def _stop_one(role: Role, roles: Sequence[Role], signals: Signals, say: Callable[[str], None]) -> None:
    stopping = asyncio.create_task(role.stop())
    now = asyncio.create_task(signals.now.wait())
    done, _ = await asyncio.wait({stopping, now}, timeout=_PATIENCE_SEC, return_when=asyncio.FIRST_COMPLETED)
    if not done:
        say(f"{role.name} finishes what it has; Ctrl-C or SIGTERM once more stops it now")
        await asyncio.wait({stopping, now}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        for each in roles:
            each.kill()
        await asyncio.wait({stopping}, timeout=_KILL_LIMIT_SEC)
    for task in (now, stopping):
        if not task.done():
            task.cancel()
    if stopping.done() and not stopping.cancelled():
        stopping.result()


def run_on_loop(main: Coroutine[Any, Any, T]) -> T:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
