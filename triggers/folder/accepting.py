from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from processor.core.errors import HeadraceError
from processor.core.failpoints import failpoint
from triggers.abstract import Binding
from triggers.folder.file_event import Identity, event_of
from triggers.folder.seen import FolderSeen
from triggers.folder.threads import FolderThreads
from triggers.intake import Intake
from triggers.watching import Condition

log = logging.getLogger(__name__)

#: Files in hand at a time: their appends share the disk's or the broker's round trips.
CONCURRENT_FILES = 16
#: Content up to this size gets a checksum.
CHECKSUM_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
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
        threads: FolderThreads,
        intake: Intake,
        seen: FolderSeen,
        condition: Condition,
        again: Callable[[str], None],
    ) -> None:
        """again: told the key of a file that was complete anew while it was in hand."""
        self._binding = binding
        self._folder = folder
        self._state_key = f"{binding.function}.{binding.creation} {folder}"
        self._threads = threads
        self._intake = intake
        self._seen = seen
        self._condition = condition
        self._again = again
        #: Keys in hand; True for those that `again` is to be told.
        self._in_hand: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(CONCURRENT_FILES)

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

    async def unknown(self, found: Sequence[tuple[str, Identity]]) -> list[tuple[str, Identity]]:
        """Of everything that is in the folder, what has had no event. Raises SeenUnavailable."""
        return await asyncio.to_thread(self._unknown, found)

    def _unknown(self, found: Sequence[tuple[str, Identity]]) -> list[tuple[str, Identity]]:
        self._seen.note_present(self._state_key, [key for key, _ in found])
        return [(key, identity) for key, identity in found if not self._knows(key, identity)]

    async def finish(self) -> None:
        if self._tasks:  # what is durable should also be written down
            await asyncio.wait(self._tasks, timeout=FINISH_SEC)
        await cancel_all(self._tasks)

    async def _accept(self, key: str, identity: Identity) -> None:
        try:
            if not await asyncio.to_thread(self._knows, key, identity):
                path = os.path.join(self._folder, key)
                etag = await self._threads.call(checksum_of, path, identity, self._threads.alive)
                await self._submit(key, identity, etag)
        except HeadraceError as error:
            # Nothing is lost: the next reading of the folder finds it again.
            fields = {"action": "folder_file_failed", "function": self._binding.function}
            log.warning("%s was not accepted: %s", key, error, extra=fields)
            self._condition.note_trouble(error)
        finally:
            self._slots.release()
            if self._in_hand.pop(key):
                self._again(key)

    async def _submit(self, key: str, identity: Identity, etag: str | None) -> None:
        """The same identity again and again until it is durable."""
        event = event_of(self._folder, key, identity, etag, self._binding.event_format)
        await self._intake.submit(self._binding, event, on_trouble=self._condition.note_trouble)
        failpoint("folder.seen.before")
        await asyncio.to_thread(self._seen.remember, self._state_key, key, identity)
        failpoint("folder.seen.after")
        self._condition.note_accepted()

    def _knows(self, key: str, identity: Identity) -> bool:
        return self._seen.knows(self._state_key, key, identity)


def checksum_of(path: str, identity: Identity, alive: Callable[[], None] = lambda: None) -> str | None:
    """SHA-256 (hex) of a small file; None when it is large, or cannot be read. alive: called at each step. Blocks."""
    if identity.size > CHECKSUM_BYTES:
        return None
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK_BYTES):
                alive()
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    for task in ending:
        with contextlib.suppress(asyncio.CancelledError, HeadraceError):
            await task
