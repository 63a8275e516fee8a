from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from typing import Any

from . import linux

LOCK = "lock"


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
    """Removes a folder; what is not empty is removed by a child process, whose pid comes back.

    A function may leave a million files: whoever waits for that could not kill anything in the meantime.
    """
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return None
    except OSError:
        return in_child(lambda: remove_now(path))
    return None


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


def remove_abandoned(parent: str) -> None:
    """Removes the folders in it whose lock nobody holds; hidden ones are not finished yet."""
    for name in os.listdir(parent):
        path = os.path.join(parent, name)
        try:
            descriptor = None if name.startswith(".") else lock(path)
        except OSError:
            continue  # removed by its guard at this moment
        if descriptor is not None:
            remove_now(path)
            os.close(descriptor)


def remove_now(path: str) -> None:
    """Follows no symbolic links. What cannot be removed stays."""
    shutil.rmtree(path, onerror=_open_up)


def _open_up(function: Callable[..., Any], path: str, _error: object) -> None:
    """The function may have taken our own rights away."""
    try:
        os.chmod(os.path.dirname(path), 0o700)
        if not os.path.islink(path):
            os.chmod(path, 0o700)
        if function in (os.unlink, os.rmdir):
            function(path)
        else:
            shutil.rmtree(path, ignore_errors=True)
    except OSError:
        return
