from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator

from . import groups, linux, marks, removal

LOCK = "lock"
#: What is left of a pool whose guard and executor were killed; nothing is known that does not die at once.
ABANDONED_SEC = 5.0
#: A folder that is removed faster needs no process of its own for it, which would cost more.
AT_ONCE_SEC = 0.005


def make_private(path: str) -> None:
    os.makedirs(path, mode=0o700, exist_ok=True)


def lock(folder: str) -> int | None:
    """A descriptor that holds the folder's lock, or None: somebody else does. Raises OSError."""
    descriptor = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def remove(path: str) -> int | None:
    """Removes a folder; what takes long is done by a child process, whose pid comes back.

    A function may leave a million files: whoever waits for that could not kill anything in the meantime.
    """
    if removal.remove(path, AT_ONCE_SEC):
        return None
    return in_child(lambda: remove_now(path))


def in_child(work: Callable[[], None]) -> int:
    """Returns its pid. It dies with this process."""
    parent_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        linux.die_with_parent(parent_pid)
        try:
            work()
        finally:
            os._exit(0)
    return pid


@contextlib.contextmanager
def making(parent: str) -> Iterator[None]:
    """Hold this while a hidden folder in there becomes a pool's; waits for a moment at most. Raises OSError."""
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def remove_abandoned(parent: str) -> None:
    """Kills what is left of pools in this folder whose lock nobody holds, and removes their folders; hidden ones that
    somebody makes at this moment are left alone.
    """
    _show_unfinished(parent)
    for name in os.listdir(parent):
        path = os.path.join(parent, name)
        try:
            descriptor = None if name.startswith(".") else lock(path)
        except OSError:
            continue  # removed by its guard at this moment
        if descriptor is not None:
            groups.recorded(path).end(ABANDONED_SEC)
            marks.kill_all(path, ABANDONED_SEC)
            remove_now(path)
            os.close(descriptor)


def _show_unfinished(parent: str) -> None:
    """Hidden folders whose maker was killed get the name that they would have had."""
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in os.listdir(parent):
            if name.startswith("."):
                os.rename(os.path.join(parent, name), os.path.join(parent, name.lstrip(".")))
    except OSError:
        pass  # somebody makes one just now: they are left to the next guard
    finally:
        os.close(descriptor)


def remove_now(path: str) -> None:
    """What cannot be removed stays."""
    removal.remove(path)
