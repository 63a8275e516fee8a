"""inotify on a folder and everything below it."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self

from asyncinotify import Event, Inotify, Mask

from processor.core.clock import SystemClock
from processor.core.errors import HeadraceError
from triggers.folder.file_event import is_wanted_folder
from triggers.folder.threads import FolderThreads

_MASK = (
    Mask.CLOSE_WRITE
    | Mask.MOVED_TO
    | Mask.MOVED_FROM
    | Mask.CREATE
    | Mask.ATTRIB
    | Mask.DELETE_SELF
    | Mask.MOVE_SELF
    | Mask.ONLYDIR
    | Mask.EXCL_UNLINK
)
_READ_EVENTS = 512


class FolderGone(HeadraceError):
    """The watched folder is not there."""

    remedy = "Create or mount it; it is watched again as soon as it is there."

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(f"the watched folder {folder!r} cannot be read: {reason}")
        self.folder = folder


class WatchLimit(HeadraceError):
    """The system allows no more inotify watches."""

    remedy = (
        "Raise fs.inotify.max_user_watches (folders in all) or fs.inotify.max_user_instances (watched trees) by sysctl."
    )


class Change(Enum):
    FILE = "file"  # closed after writing, or moved in
    TOUCHED = "touched"  # time, owner or mode of a file: many set those after they have closed it
    FOLDER = "folder"  # a new sub-folder: what is in it already may not have been told
    LOST = "lost"  # the kernel dropped events, or the tree was rearranged: everything has to be read again
    GONE = "gone"  # the watched folder itself


@dataclass(frozen=True, slots=True)
class Told:
    change: Change
    #: Relative to the watched folder, as os.fsdecode gives it.
    key: str = ""


class FolderWatch:
    """Used on one event loop. Everything that touches the folder raises FolderGone and FolderSilent; to enter it, and
    `add_tree`, WatchLimit as well.
    """

    def __init__(self, folder: str, threads: FolderThreads | None = None) -> None:
        """threads: None: of its own."""
        self._folder = folder
        self._threads = threads or FolderThreads(folder, SystemClock())
        self._inotify: Inotify | None = None
        self._place = (0, 0)
        self._waiting = False
        self._adding = False

    async def __aenter__(self) -> Self:
        self._inotify, self._place = await self._threads.call(self._open)
        return self

    def _open(self) -> tuple[Inotify, tuple[int, int]]:
        try:
            place = _place_of(self._folder)
            inotify = Inotify(cache_size=_READ_EVENTS)
        except OSError as error:
            raise _of(error, self._folder) from error
        try:
            self._add_tree(inotify, "")
        except BaseException:
            inotify.close()
            raise
        return inotify, place

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        inotify, self._inotify = self._inotify, None
        assert inotify is not None  # entered
        # A call that hangs may use it yet. With that call's reference it is closed, and until then its number is not
        # given to another one, which would get the watches.
        if not self._adding:
            inotify.close()

    def is_current(self) -> bool:
        """The folder's path still leads to the folder that is watched. Blocks, so it is called by `threads`."""
        try:
            return _place_of(self._folder) == self._place
        except OSError as error:
            raise _of(error, self._folder) from error

    async def add_tree(self, key: str) -> None:
        """Watches a sub-folder and all below it. Watches first: a file that comes while the tree is read is told, and
        found by whoever reads it afterwards. Not while `next` is awaited.
        """
        assert self._inotify is not None  # entered
        await self._threads.call(self._add_tree, self._inotify, key)

    def _add_tree(self, inotify: Inotify, key: str) -> None:
        self._adding = True
        try:
            self._watch_below(inotify, key)
        finally:
            self._adding = False

    def _watch_below(self, inotify: Inotify, key: str) -> None:
        waiting = [os.path.join(self._folder, key) if key else self._folder]
        while waiting:
            self._threads.alive()
            path = waiting.pop()
            try:
                inotify.add_watch(path, _MASK)
                waiting += [each.path for each in _folders(path)]
            except OSError as error:
                if path == self._folder or error.errno in (errno.ENOSPC, errno.EMFILE):
                    raise _of(error, self._folder) from error
                # A sub-folder that has just gone, or that we may not read.

    async def next(self) -> Told | None:
        """Waits for what happens next; None when it is of no interest. Not to be cancelled but for good: a batch of
        events that has been read would be lost.
        """
        assert self._inotify is not None  # entered
        self._waiting = True
        event = await self._inotify.get()
        self._waiting = False
        return self._told(event)

    async def has_caught_up(self) -> bool:
        """Whether everything that had happened when this was called has been returned by `next`, and its caller waits
        there for more.
        """
        assert self._inotify is not None  # entered
        unread = fcntl.ioctl(self._inotify.fd, termios.FIONREAD, bytes(4))
        await asyncio.sleep(0)  # what has been read already is returned first: that was scheduled before us
        return self._waiting and not any(unread)

    def _told(self, event: Event) -> Told | None:
        mask = event.mask
        if Mask.Q_OVERFLOW in mask:
            return Told(Change.LOST)
        at_top = event.watch is not None and str(event.watch.path) == self._folder
        if Mask.UNMOUNT in mask or (at_top and mask & (Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.IGNORED)):
            return Told(Change.GONE)
        if event.name is None or event.path is None:
            return None
        if Mask.ISDIR in mask:
            return self._told_of_folder(event)
        if mask & (Mask.CLOSE_WRITE | Mask.MOVED_TO):
            return Told(Change.FILE, os.path.relpath(event.path, self._folder))
        if mask & Mask.ATTRIB:
            return Told(Change.TOUCHED, os.path.relpath(event.path, self._folder))
        return None

    def _told_of_folder(self, event: Event) -> Told | None:
        assert event.path is not None  # checked by the caller
        assert event.name is not None
        if Mask.MOVED_FROM in event.mask:
            return Told(Change.LOST)  # its watches go on telling its old path
        if event.mask & (Mask.CREATE | Mask.MOVED_TO) and is_wanted_folder(str(event.name)):
            return Told(Change.FOLDER, os.path.relpath(event.path, self._folder))
        return None


def files_below(
    folder: str, key: str = "", alive: Callable[[], None] = lambda: None
) -> Iterator[tuple[str, os.stat_result]]:
    """Every file of the folder or of one sub-folder, with its status; links are not followed. Raises FolderGone when
    the folder itself cannot be read; what vanishes meanwhile is passed over. alive: called before each step. Blocks.
    """
    waiting = [key]
    while waiting:
        alive()
        at = waiting.pop()
        path = os.path.join(folder, at) if at else folder
        try:
            with os.scandir(path) as entries:
                found = list(entries)
        except OSError as error:
            if not at:
                raise _of(error, folder) from error
            continue
        for entry in found:
            alive()
            below = os.path.join(at, entry.name) if at else entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting += [below] if is_wanted_folder(entry.name) else []
                else:
                    yield below, entry.stat(follow_symlinks=False)
            except OSError:
                continue


def _place_of(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _folders(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return [each for each in entries if each.is_dir(follow_symlinks=False) and is_wanted_folder(each.name)]


def _of(error: OSError, folder: str) -> HeadraceError:
    if error.errno in (errno.ENOSPC, errno.EMFILE):
        return WatchLimit(f"the system allows no more inotify watches for {folder!r}: {error.strerror}")
    return FolderGone(folder, error.strerror or str(error))
