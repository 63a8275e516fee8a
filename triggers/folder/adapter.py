from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from triggers.abstract import Binding, Health, Trigger, TriggerState
from triggers.folder.accepting import Accepting, cancel_all
from triggers.folder.file_event import Identity, is_regular, is_wanted
from triggers.folder.seen import FolderSeen, SeenUnavailable
from triggers.folder.settle import TICK_SEC, Settling, Waits, Why, is_being_written
from triggers.folder.watch import Change, FolderGone, FolderWatch, Told, WatchLimit, files_below
from triggers.intake import Intake

log = logging.getLogger(__name__)

#: How often a folder that is not there is looked for.
LOOK_SEC = 1.0
#: A file that is being written: how often it is looked at again, should nobody tell of its close.
WRITER_SEC = 0.5
#: How often the folder's path is checked to be still the folder that is watched: a mount over it tells nobody.
CHECK_SEC = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderTriggers:
    """Makes the adapters of all watched folders of a process."""

    intake: Intake
    seen: FolderSeen
    clock: Clock
    settle_sec: float = 0.5
    rescan_sec: float = 300.0

    def make(self, binding: Binding) -> Trigger:
        return FolderTrigger(binding, self)


class FolderTrigger(Trigger):
    """A file that is completely there becomes one event, also when it came while nobody watched.

    The folder is read whole at the start, after lost events, and every rescan_sec; between, inotify tells. When a file
    counts as complete: docs/decisions/003.
    """

    def __init__(self, binding: Binding, shared: FolderTriggers) -> None:
        self._binding = binding
        self._shared = shared
        self._folder = os.path.normpath(str(binding.settings["path"]))
        self._pattern = str(binding.settings.get("pattern", "*"))
        self._settling = Settling(waits_of(binding, shared.settle_sec))
        self._changed = asyncio.Event()
        self._rescan_at_sec = 0.0
        self._mounted = False
        self._accepting = Accepting(
            binding, self._folder, intake=shared.intake, seen=shared.seen, clock=shared.clock, again=self._hear_again
        )
        self._state = TriggerState.STARTING
        self._trouble: HeadraceError | None = None

    @property
    def health(self) -> Health:
        trouble = self._trouble or self._accepting.trouble
        return Health(
            state=self._state,
            reason=str(trouble) if trouble else "",
            remedy=trouble.remedy if trouble else "",
            accepted=self._accepting.accepted,
            last_event_ms=self._accepting.last_event_ms,
        )

    async def run(self) -> None:
        try:
            while True:
                try:
                    await self._watch()
                except (FolderGone, WatchLimit, SeenUnavailable) as error:
                    self._wait_for(error)
                    await asyncio.sleep(LOOK_SEC)
        finally:
            self._state = TriggerState.STOPPED
            await self._accepting.finish()

    async def _watch(self) -> None:
        """One life of the inotify watches. Raises FolderGone, WatchLimit, SeenUnavailable; returns to begin anew."""
        await asyncio.to_thread(self._check_mount)
        async with FolderWatch(self._folder) as watch:
            self._rescan_at_sec = 0.0
            listening = asyncio.create_task(self._listen(watch), name=f"inotify {self._folder}")
            try:
                while not listening.done() and watch.is_current():
                    await self._scan_if_due()
                    self._set_watching()
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
        """Ends when everything has to begin anew. Raises FolderGone, WatchLimit."""
        while True:
            told = await watch.next()
            if told is None:
                continue
            if told.change is Change.LOST:
                log.info("%s is read again", self._folder, extra=self._fields("folder_rescan"))
                return
            if told.change is Change.GONE:
                raise FolderGone(self._folder, "it was removed, renamed or unmounted")
            await self._hear_of(told, watch)
            self._changed.set()

    async def _hear_of(self, told: Told, watch: FolderWatch) -> None:
        if told.change is Change.FOLDER:
            await asyncio.to_thread(watch.add_tree, told.key)
            for key, status in await asyncio.to_thread(list, files_below(self._folder, told.key)):
                self._hear(key, Why.FOUND, status)
        else:
            self._hear(told.key, Why.TOLD if told.change is Change.FILE else Why.TOUCHED)

    def _hear(self, key: str, why: Why, status: os.stat_result | None = None) -> None:
        """status None: it is looked at here."""
        if not is_wanted(key, self._pattern):
            return
        if status is None:
            try:
                status = os.lstat(os.path.join(self._folder, key))
            except OSError:
                return
        if is_regular(status):
            self._settling.heard(key, Identity.of(status), why, self._now())

    def _hear_again(self, key: str) -> None:
        self._hear(key, Why.TOLD)
        self._changed.set()

    async def _scan_if_due(self) -> None:
        if self._now() < self._rescan_at_sec:
            return
        first = self._rescan_at_sec == 0.0
        found = await asyncio.to_thread(self._unknown)
        self._rescan_at_sec = self._now() + self._shared.rescan_sec
        for key, identity in found:
            if first or key not in self._settling:  # later, what has been told counts: a touched file is no news
                self._settling.heard(key, identity, Why.FOUND, self._now())

    def _unknown(self) -> list[tuple[str, Identity]]:
        return self._accepting.unknown(
            (key, Identity.of(status))
            for key, status in files_below(self._folder)
            if is_regular(status) and is_wanted(key, self._pattern)
        )

    async def _take_due(self, watch: FolderWatch) -> None:
        for key in self._settling.due(self._now()):
            path = os.path.join(self._folder, key)
            try:
                identity = Identity.of(os.lstat(path))
            except OSError:
                self._settling.forget(key)
                continue
            why = self._settling.settled(key, identity, self._now())
            if why is None:
                continue
            if is_being_written(path):
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
        if key in self._settling:  # there is news of it
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

    def _set_watching(self) -> None:
        if self._state is not TriggerState.WATCHING:
            self._state = TriggerState.WATCHING
            self._trouble = None
            log.info("watching %s", self._folder, extra=self._fields("folder_watching"))

    def _wait_for(self, error: HeadraceError) -> None:
        if self._state is not TriggerState.WAITING:
            log.warning("%s. %s", error, error.remedy, extra=self._fields("folder_waiting"))
        self._state = TriggerState.WAITING
        self._trouble = error

    def _now(self) -> float:
        return self._shared.clock.boottime()

    def _fields(self, action: str) -> dict[str, str]:
        return {"action": action, "function": self._binding.function}


def waits_of(binding: Binding, found_sec: float) -> Waits:
    """The trigger's own `settle` is for every file; without one, a close says that a file is complete."""
    settle_sec = float(binding.settings.get("settle", 0.0))
    return Waits(told_sec=max(settle_sec, TICK_SEC), found_sec=max(settle_sec, found_sec, TICK_SEC))
