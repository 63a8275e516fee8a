from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from triggers.abstract import Binding, Health, Trigger, TriggerState
from triggers.folder.file_event import Identity, event_of, is_regular, is_wanted
from triggers.folder.seen import FolderSeen, SeenUnavailable
from triggers.folder.settle import Settling, is_being_written
from triggers.folder.watch import Change, FolderGone, FolderWatch, Told, WatchLimit, files_below
from triggers.intake import Intake

log = logging.getLogger(__name__)

#: Files in the hands of the adapter at a time: their appends share the disk's or the broker's round trips.
CONCURRENT_FILES = 16
#: Content up to this size gets a checksum.
CHECKSUM_BYTES = 8 * 1024 * 1024
#: How often a folder that is not there is looked for.
LOOK_SEC = 1.0
#: A file that is being written although nobody has told so: how often it is looked at again.
WRITER_SEC = 0.5
#: Files in hand get this long to be accepted and written down at the end.
FINISH_SEC = 3.0
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

    The folder is read whole at the start, after lost events, and every rescan_sec; between, inotify tells. What was
    accepted is written down after the event is durable: a crash in between sends the same event again.
    """

    def __init__(self, binding: Binding, shared: FolderTriggers) -> None:
        self._binding = binding
        self._shared = shared
        self._folder = os.path.normpath(str(binding.settings["path"]))
        self._pattern = str(binding.settings.get("pattern", "*"))
        self._state_key = f"{binding.function}.{binding.creation} {self._folder}"
        self._settling = Settling(shared.settle_sec)
        self._changed = asyncio.Event()
        self._rescan_at_sec = 0.0
        #: Keys that are being accepted, and those of them that were heard of again meanwhile.
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._accepting: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(CONCURRENT_FILES)
        self._state = TriggerState.STARTING
        self._trouble: HeadraceError | None = None
        self._accepted = 0
        self._last_event_ms: int | None = None

    @property
    def health(self) -> Health:
        trouble = self._trouble
        return Health(
            state=self._state,
            reason=str(trouble) if trouble else "",
            remedy=trouble.remedy if trouble else "",
            accepted=self._accepted,
            last_event_ms=self._last_event_ms,
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
            if self._accepting:  # what is durable should also be written down
                await asyncio.wait(self._accepting, timeout=FINISH_SEC)
            await _cancel_all(self._accepting)

    async def _watch(self) -> None:
        """One life of the inotify watches. Raises FolderGone, WatchLimit, SeenUnavailable; returns to begin anew."""
        async with FolderWatch(self._folder) as watch:
            self._rescan_at_sec = 0.0
            listening = asyncio.create_task(self._listen(watch), name=f"inotify {self._folder}")
            try:
                while not listening.done() and watch.is_current():
                    await self._scan_if_due()
                    self._set_watching()
                    await self._emit_due()
                    await self._sleep_until_due(listening)
                if listening.done():
                    listening.result()
            finally:
                await _cancel_all({listening})

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
            await self._take(told, watch)

    async def _take(self, told: Told, watch: FolderWatch) -> None:
        if told.change is Change.FOLDER:
            await asyncio.to_thread(watch.add_tree, told.key)
            for key, status in await asyncio.to_thread(list, files_below(self._folder, told.key)):
                self._hear(key, status)
        else:
            self._hear(told.key, None)
        self._changed.set()

    def _hear(self, key: str, status: os.stat_result | None) -> None:
        """status None: it is looked at here."""
        if not is_wanted(key, self._pattern):
            return
        if status is None:
            try:
                status = os.lstat(os.path.join(self._folder, key))
            except OSError:
                return
        if is_regular(status):
            self._settling.heard(key, Identity.of(status), self._now())

    async def _scan_if_due(self) -> None:
        if self._now() < self._rescan_at_sec:
            return
        found = await asyncio.to_thread(self._new_files)
        self._rescan_at_sec = self._now() + self._shared.rescan_sec
        for key, identity in found:
            self._settling.heard(key, identity, self._now())

    def _new_files(self) -> list[tuple[str, Identity]]:
        files = [
            (key, Identity.of(status))
            for key, status in files_below(self._folder)
            if is_regular(status) and is_wanted(key, self._pattern)
        ]
        self._shared.seen.note_present(self._state_key, [key for key, _ in files])
        return [(key, identity) for key, identity in files if not self._knows(key, identity)]

    async def _emit_due(self) -> None:
        now_sec = self._now()
        for key in self._settling.due(now_sec):
            path = os.path.join(self._folder, key)
            try:
                status = os.lstat(path)
            except OSError:
                self._settling.forget(key)
                continue
            identity = Identity.of(status)
            if not self._settling.is_settled(key, identity, now_sec):
                continue
            if is_being_written(path):
                self._settling.heard(key, identity, now_sec + WRITER_SEC)
            elif key in self._working:
                self._again.add(key)
            else:
                await self._begin(key, identity)

    async def _begin(self, key: str, identity: Identity) -> None:
        await self._slots.acquire()
        self._working.add(key)
        task = asyncio.create_task(self._accept(key, identity))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _accept(self, key: str, identity: Identity) -> None:
        try:
            if await asyncio.to_thread(self._knows, key, identity):
                return
            etag = await asyncio.to_thread(checksum_of, os.path.join(self._folder, key), identity)
            await self._accept_at_last(key, identity, etag)
            await asyncio.to_thread(self._shared.seen.remember, self._state_key, key, identity)
            self._accepted += 1
            self._last_event_ms = self._shared.clock.unix_ms()
        except HeadraceError as error:
            # Nothing is lost: the next reading of the folder finds it again.
            log.warning("%s was not accepted: %s", key, error, extra=self._fields("folder_file_failed"))
            self._trouble = error
        finally:
            self._working.discard(key)
            self._slots.release()
            if key in self._again:
                self._again.discard(key)
                self._hear(key, None)
                self._changed.set()

    async def _accept_at_last(self, key: str, identity: Identity, etag: str | None) -> None:
        """The same identity again and again until it is durable."""
        event = event_of(self._folder, key, identity, etag)
        await self._shared.intake.submit(self._binding, event, on_trouble=self._note)
        self._trouble = None

    def _note(self, error: HeadraceError) -> None:
        self._trouble = error

    async def _sleep_until_due(self, listening: asyncio.Task[None]) -> None:
        """Until a file may have settled, the folder is to be read, something was told, or the watch has ended."""
        due = [self._rescan_at_sec, self._settling.next_due_sec() or self._rescan_at_sec]
        woken = asyncio.create_task(self._changed.wait())
        try:
            wait_sec = min(max(min(due) - self._now(), 0.0), CHECK_SEC)
            await asyncio.wait({listening, woken}, timeout=wait_sec, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel_all({woken})
            self._changed.clear()

    def _knows(self, key: str, identity: Identity) -> bool:
        return self._shared.seen.knows(self._state_key, key, identity)

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


def checksum_of(path: str, identity: Identity) -> str | None:
    """SHA-256 (hex) of a small file; None when it is large, or cannot be read. Blocks."""
    if identity.size > CHECKSUM_BYTES:
        return None
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


async def _cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    for task in ending:
        with contextlib.suppress(asyncio.CancelledError, HeadraceError):
            await task
