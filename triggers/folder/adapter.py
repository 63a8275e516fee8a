from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from processor.core.clock import Clock
from triggers.abstract import Binding, Trigger
from triggers.folder.accepting import Accepting, cancel_all
from triggers.folder.file_event import Identity, is_regular, is_wanted
from triggers.folder.seen import FolderSeen, SeenUnavailable
from triggers.folder.settle import TICK_SEC, Settling, Waits, Why, is_being_written
from triggers.folder.threads import LIMIT_SEC, FolderSilent, FolderThreads
from triggers.folder.watch import Change, FolderGone, FolderWatch, WatchLimit, files_below
from triggers.intake import Intake
from triggers.watching import Backoff, WatchingTrigger

log = logging.getLogger(__name__)

#: How often a folder that is not there is looked for.
LOOK_SEC = 1.0
#: A file that is being written: how often it is looked at again, should nobody tell of its close.
WRITER_SEC = 0.5
#: How often the folder's path is checked to be still the folder that is watched: a mount over it tells nobody.
CHECK_SEC = 2.0
#: Files that may be complete are looked at so many at a time: that must not be long ago when they are taken.
LOOK_FILES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderTriggers:
    """Makes the adapters of all watched folders of a process."""

    intake: Intake
    seen: FolderSeen
    clock: Clock
    settle_sec: float = 0.5
    rescan_sec: float = 300.0
    #: A call that shows no sign of life for so long hangs.
    limit_sec: float = LIMIT_SEC
    #: By folder. They outlive a trigger, or one that is paused and resumed would leave another thread in a folder that
    #: hangs each time.
    _threads: dict[str, FolderThreads] = field(default_factory=dict, init=False)

    def make(self, binding: Binding) -> Trigger:
        return FolderTrigger(binding, self)

    def threads_of(self, folder: str) -> FolderThreads:
        return self._threads.setdefault(folder, FolderThreads(folder, self.clock, limit_sec=self.limit_sec))


class FolderTrigger(WatchingTrigger):
    """A file that is completely there becomes one event, also when it came while nobody watched.

    The folder is read whole at the start, after lost events, and every rescan_sec; between, inotify tells. When a file
    counts as complete: docs/decisions/003.
    """

    passing = (FolderGone, FolderSilent, WatchLimit, SeenUnavailable)

    def __init__(self, binding: Binding, shared: FolderTriggers) -> None:
        super().__init__(binding, shared.clock, Backoff(first_sec=LOOK_SEC, longest_sec=LOOK_SEC))
        self._shared = shared
        self._folder = os.path.normpath(str(binding.settings["path"]))
        self._pattern = str(binding.settings.get("pattern", "*"))
        self._settling = Settling(waits_of(binding, shared.settle_sec))
        #: Files and sub-folders that something was told of, and that were not looked at since.
        self._told: dict[str, Why] = {}
        self._told_folders: set[str] = set()
        self._changed = asyncio.Event()
        self._rescan_at_sec = 0.0
        self._mounted = False
        self._threads = shared.threads_of(self._folder)
        self._accepting = Accepting(
            binding,
            self._folder,
            threads=self._threads,
            intake=shared.intake,
            seen=shared.seen,
            condition=self._condition,
            again=self._hear_again,
        )

    async def let_go(self) -> None:
        await self._accepting.finish()

    async def watch(self) -> None:
        """One life of the inotify watches."""
        await self._threads.call(self._check_mount)
        async with FolderWatch(self._folder, self._threads) as watch:
            self._rescan_at_sec = 0.0
            listening = asyncio.create_task(self._listen(watch), name=f"inotify {self._folder}")
            try:
                while not listening.done() and await self._look_at_told(watch):
                    await self._scan_if_due()
                    self._condition.watching()
                    await self._take_due(watch)
                    await self._sleep_until_due(listening)
                if listening.done():
                    listening.result()
            finally:
                await cancel_all({listening})

    def _check_mount(self) -> None:
        """The empty folder that an unmounted disk leaves is not the folder whose files are meant."""
        mounted = os.path.ismount(os.path.realpath(self._folder))
        if self._mounted and not mounted:
            raise FolderGone(self._folder, "nothing is mounted there any more")
        self._mounted = mounted

    async def _listen(self, watch: FolderWatch) -> None:
        """Ends when everything has to begin anew. Raises FolderGone, FolderSilent, WatchLimit."""
        while True:
            told = await watch.next()
            if told is None:
                continue
            if told.change is Change.LOST:
                log.info("%s is read again", self._folder, extra=self._fields("folder_rescan"))
                return
            if told.change is Change.GONE:
                raise FolderGone(self._folder, "it was removed, renamed or unmounted")
            if told.change is Change.FOLDER:
                await watch.add_tree(told.key)
                self._told_folders.add(told.key)
                self._changed.set()
            else:
                self._hear(told.key, Why.TOLD if told.change is Change.FILE else Why.TOUCHED)

    def _hear(self, key: str, why: Why) -> None:
        if is_wanted(key, self._pattern):
            self._told[key] = max(why, self._told.get(key, why))
            self._changed.set()

    def _hear_again(self, key: str) -> None:
        self._hear(key, Why.TOLD)

    async def _look_at_told(self, watch: FolderWatch) -> bool:
        """False when the watched folder is not the one at its path any more. Raises FolderGone, FolderSilent."""
        told, self._told = self._told, {}
        folders, self._told_folders = self._told_folders, set()
        found = await self._threads.call(self._look, watch, told, folders)
        for key, identity, why in found or ():
            self._settling.heard(key, identity, why, self._now())
        return found is not None

    def _look(
        self, watch: FolderWatch, told: Mapping[str, Why], folders: Iterable[str]
    ) -> list[tuple[str, Identity, Why]] | None:
        """Blocks. None: the watch is not current."""
        if not watch.is_current():
            return None
        found = [(key, identity, why) for key, why in told.items() if (identity := self._identity_of(key))]
        for folder in folders:
            found += [(key, identity, Why.FOUND) for key, identity in self._files_below(folder)]
        return found

    def _identity_of(self, key: str) -> Identity | None:
        """Blocks. None: no regular file, or none at all."""
        self._threads.alive()
        try:
            status = os.lstat(os.path.join(self._folder, key))
        except OSError:
            return None
        return Identity.of(status) if is_regular(status) else None

    def _files_below(self, folder: str = "") -> list[tuple[str, Identity]]:
        """Blocks."""
        return [
            (key, Identity.of(status))
            for key, status in files_below(self._folder, folder, self._threads.alive)
            if is_regular(status) and is_wanted(key, self._pattern)
        ]

    async def _scan_if_due(self) -> None:
        if self._now() < self._rescan_at_sec:
            return
        first = self._rescan_at_sec == 0.0
        found = await self._accepting.unknown(await self._threads.call(self._files_below))
        self._rescan_at_sec = self._now() + self._shared.rescan_sec
        for key, identity in found:
            if first or key not in self._settling:  # later, what has been told counts: a touched file is no news
                self._settling.heard(key, identity, Why.FOUND, self._now())

    async def _take_due(self, watch: FolderWatch) -> None:
        due = self._settling.due(self._now())
        for first in range(0, len(due), LOOK_FILES):
            looked = await self._threads.call(self._look_again, due[first : first + LOOK_FILES])
            for key, identity, being_written in looked:
                await self._take(key, identity, being_written, watch)

    def _look_again(self, keys: Iterable[str]) -> list[tuple[str, Identity | None, bool]]:
        """Blocks. Each with its identity, and whether it is being written."""
        return [
            (key, identity, identity is not None and is_being_written(os.path.join(self._folder, key)))
            for key in keys
            for identity in [self._identity_of(key)]
        ]

    async def _take(self, key: str, identity: Identity | None, being_written: bool, watch: FolderWatch) -> None:
        if identity is None:
            self._settling.forget(key)
            return
        why = self._settling.settled(key, identity, self._now())
        if why is None:
            return
        if being_written:
            self._settling.postpone(key, identity, why, self._now() + WRITER_SEC)
        elif why is Why.TOUCHED:
            await self._adopt(key, identity, watch)
        else:
            await self._accepting.begin(key, identity)

    async def _adopt(self, key: str, identity: Identity, watch: FolderWatch) -> None:
        """As nobody has it open, whoever has written it has closed it. If no such close was told, its content is the
        one that we know.
        """
        caught_up = await watch.has_caught_up()
        if key in self._told:  # there is news of it
            return
        if not caught_up or self._accepting.has(key):
            self._settling.postpone(key, identity, Why.TOUCHED, self._now() + TICK_SEC)
        elif not await self._accepting.adopt(key, identity):
            await self._accepting.begin(key, identity)

    async def _sleep_until_due(self, listening: asyncio.Task[None]) -> None:
        """Until a file may have settled, the folder is to be read, something was told, or the watch has ended."""
        due = [self._rescan_at_sec, self._settling.next_due_sec() or self._rescan_at_sec]
        woken = asyncio.create_task(self._changed.wait())
        try:
            wait_sec = min(max(min(due) - self._now(), 0.0), CHECK_SEC)
            await asyncio.wait({listening, woken}, timeout=wait_sec, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_all({woken})
            self._changed.clear()

    def _now(self) -> float:
        return self._clock.boottime()

    def _fields(self, action: str) -> dict[str, str]:
        return {"action": action, "function": self._binding.function}


def waits_of(binding: Binding, found_sec: float) -> Waits:
    """The trigger's own `settle` is for every file; without one, a close says that a file is complete."""
    settle_sec = float(binding.settings.get("settle", 0.0))
    return Waits(told_sec=max(settle_sec, TICK_SEC), found_sec=max(settle_sec, found_sec, TICK_SEC))
