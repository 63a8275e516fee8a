from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from triggers.abstract import Binding
from triggers.folder.file_event import Identity, event_of
from triggers.folder.seen import FolderSeen
from triggers.intake import Intake

log = logging.getLogger(__name__)

#: Files in hand at a time: their appends share the disk's or the broker's round trips.
CONCURRENT_FILES = 16
#: Content up to this size gets a checksum.
CHECKSUM_BYTES = 8 * 1024 * 1024
#: Files in hand get this long to be accepted and written down at the end.
FINISH_SEC = 3.0


class Accepting:
    """What becomes of a file that is complete: an event, unless it has been one. Written down after the event is
    durable: a crash in between sends the same event again.
    """

    def __init__(
        self,
        binding: Binding,
        folder: str,
        *,
        intake: Intake,
        seen: FolderSeen,
        clock: Clock,
        again: Callable[[str], None],
    ) -> None:
        """again: told the key of a file that was complete anew while it was in hand."""
        self._binding = binding
        self._folder = folder
        self._state_key = f"{binding.function}.{binding.creation} {folder}"
        self._intake = intake
        self._seen = seen
        self._clock = clock
        self._again = again
        #: Keys in hand; True for those that `again` is to be told.
        self._in_hand: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(CONCURRENT_FILES)
        self.trouble: HeadraceError | None = None
        self.accepted = 0
        self.last_event_ms: int | None = None

    def has(self, key: str) -> bool:
        return key in self._in_hand

    async def begin(self, key: str, identity: Identity) -> None:
        """Waits for a free hand only; with the same file in hand, until that is done, not even for that."""
        if key in self._in_hand:
            self._in_hand[key] = True
            return
        await self._slots.acquire()
        self._in_hand[key] = False
        task = asyncio.create_task(self._accept(key, identity))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def adopt(self, key: str, identity: Identity) -> bool:
        """The content has its event already, and only its time is another: from now on that is known. False when it
        had none. Raises SeenUnavailable.
        """
        return await asyncio.to_thread(self._seen.adopt, self._state_key, key, identity)

    def unknown(self, files: Iterable[tuple[str, Identity]]) -> list[tuple[str, Identity]]:
        """Of everything that is in the folder, what has had no event. Blocks; raises SeenUnavailable."""
        found = list(files)
        self._seen.note_present(self._state_key, [key for key, _ in found])
        return [(key, identity) for key, identity in found if not self._knows(key, identity)]

    async def finish(self) -> None:
        if self._tasks:  # what is durable should also be written down
            await asyncio.wait(self._tasks, timeout=FINISH_SEC)
        await cancel_all(self._tasks)

    async def _accept(self, key: str, identity: Identity) -> None:
        try:
            etag = await asyncio.to_thread(self._checksum_if_new, key, identity)
            if etag is not None:
                await self._submit(key, identity, etag or None)
        except HeadraceError as error:
            # Nothing is lost: the next reading of the folder finds it again.
            fields = {"action": "folder_file_failed", "function": self._binding.function}
            log.warning("%s was not accepted: %s", key, error, extra=fields)
            self.trouble = error
        finally:
            self._slots.release()
            if self._in_hand.pop(key):
                self._again(key)

    async def _submit(self, key: str, identity: Identity, etag: str | None) -> None:
        """The same identity again and again until it is durable."""
        event = event_of(self._folder, key, identity, etag, self._binding.event_format)
        await self._intake.submit(self._binding, event, on_trouble=self._note)
        self.trouble = None
        await asyncio.to_thread(self._seen.remember, self._state_key, key, identity)
        self.accepted += 1
        self.last_event_ms = self._clock.unix_ms()

    def _checksum_if_new(self, key: str, identity: Identity) -> str | None:
        """None when it is known; "" when it has none. One hop to a thread for both."""
        if self._knows(key, identity):
            return None
        return checksum_of(os.path.join(self._folder, key), identity) or ""

    def _knows(self, key: str, identity: Identity) -> bool:
        return self._seen.knows(self._state_key, key, identity)

    def _note(self, error: HeadraceError) -> None:
        self.trouble = error


def checksum_of(path: str, identity: Identity) -> str | None:
    """SHA-256 (hex) of a small file; None when it is large, or cannot be read. Blocks."""
    if identity.size > CHECKSUM_BYTES:
        return None
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    for task in ending:
        with contextlib.suppress(asyncio.CancelledError, HeadraceError):
            await task
