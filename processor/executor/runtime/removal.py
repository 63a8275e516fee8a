"""Removing what a function left in its temporary folder, whatever that is."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import struct
import time
from collections.abc import Callable

#: <linux/fs.h>: files may be marked as unchangeable, even for root.
FS_IOC_SETFLAGS = 0x40086602
#: <sys/mount.h>
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Readings of the top folder that changed nothing, before what is left is left.
_VAIN_ROUNDS = 2
_LIBC = ctypes.CDLL(None)


def remove(path: str, limit_sec: float = float("inf")) -> bool:
    """Blocks. Follows no symbolic link and enters no mount. False: something is left, for want of time or of rights."""
    above, name = os.path.split(path)
    try:
        parent = os.open(above, _FOLDER)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        return _removed(name, parent) or _Removal(name, parent, time.monotonic() + limit_sec).run()
    except OSError:
        return False
    finally:
        os.close(parent)


class _Removal:
    """Every folder that is found is moved to the top before it is emptied: none is too deep, no path too long, and a
    mount, which cannot be moved, is never emptied.
    """

    def __init__(self, name: str, parent: int, give_up_at: float) -> None:
        self._name = name
        self._parent = parent
        self._top = -1
        self._give_up_at = give_up_at
        #: Names that folders got when they were moved to the top.
        self._moved: set[str] = set()
        self._changes = 0

    def run(self) -> bool:
        _detach(self._name, self._parent)
        self._top = _open(self._name, self._parent)
        vain = 0
        try:
            while vain < _VAIN_ROUNDS and self._is_in_time():
                before = self._changes
                if not self._clear(self._top, self._empty):
                    break
                vain = 0 if self._changes > before else vain + 1
        finally:
            os.close(self._top)
        return _removed(self._name, self._parent)

    def _is_in_time(self) -> bool:
        return time.monotonic() < self._give_up_at

    def _clear(self, folder: int, on_folder: Callable[[str, int], object]) -> int:
        """Removes its files and empty folders. Returns how many entries were there, as far as time allowed."""
        seen = 0
        with os.scandir(folder) as entries:
            for entry in entries:
                seen += 1
                if not self._is_in_time():
                    break
                if _removed(entry.name, folder):
                    self._changes += 1
                elif entry.is_dir(follow_symlinks=False):
                    on_folder(entry.name, folder)
        return seen

    def _empty(self, name: str, folder: int) -> None:
        """One level of a folder in the top folder."""
        own = name if name in self._moved else self._move_up(name, folder)
        if own is None:
            return
        inside = _open(own, self._top)
        try:
            self._clear(inside, self._move_up)
        finally:
            os.close(inside)
        self._changes += _removed(own, self._top)

    def _move_up(self, name: str, folder: int) -> str | None:
        """Its new name in the top folder. None: it cannot be moved."""
        _detach(name, folder)
        new = os.urandom(12).hex()
        if not _done(lambda: os.rename(name, new, src_dir_fd=folder, dst_dir_fd=self._top), name, folder):
            return None
        self._moved.add(new)
        self._changes += 1
        return new


def _removed(name: str, folder: int) -> bool:
    return _done(lambda: _unlink(name, folder), name, folder)


def _unlink(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        os.rmdir(name, dir_fd=folder)


def _open(name: str, folder: int) -> int:
    """Raises OSError."""
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except PermissionError:
        _unlock(name, folder)
        return os.open(name, _FOLDER, dir_fd=folder)


def _done(act: Callable[[], None], name: str, folder: int) -> bool:
    """Does it, once more after what may be in the way was taken away. False: it cannot be done."""
    for last in (False, True):
        try:
            act()
        except FileNotFoundError:
            return True
        except OSError as error:
            if last or error.errno not in (errno.EACCES, errno.EPERM, errno.EBUSY):
                return False
            _detach(name, folder)
            _unlock(name, folder)
        else:
            return True
    return False


def _unlock(name: str, folder: int) -> None:
    """The function may have taken our own rights away."""
    _allow_changes(folder)
    with contextlib.suppress(OSError):
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            with contextlib.suppress(OSError):
                os.chmod(name, 0o700, dir_fd=folder)  # a folder without rights cannot be opened
        if stat.S_ISDIR(mode) or stat.S_ISREG(mode):  # to open anything else could have effects
            entry = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                _allow_changes(entry, 0o700 if stat.S_ISDIR(mode) else None)
            finally:
                os.close(entry)


def _allow_changes(descriptor: int, mode: int | None = 0o700) -> None:
    with contextlib.suppress(OSError):  # not every file system knows these flags
        fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, struct.pack("l", 0))
    if mode is not None:
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, mode)


def _detach(name: str, folder: int) -> None:
    """Whatever is mounted there, however often. Without rights to do so the function had none to mount either."""
    path = os.fsencode(f"/proc/self/fd/{folder}/{name}")
    while _LIBC.umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0:
        pass
