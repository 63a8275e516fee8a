"""What is wrong with this installation, and what to do about it. Changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from processor.cli.client import Client, Unreachable
from processor.cli.errors import CommandFailed
from processor.cli.history_store import make_history
from processor.cli.settings import POSTGRES, Settings
from processor.core import failpoints
from processor.core.errors import HeadraceError
from processor.executor.containment import Containment, describe

MIN_PYTHON = (3, 11)
#: Below this the next hours are at risk; below the other nothing can be promised.
LOW_DISK_BYTES = 2 * 1024**3
NO_DISK_BYTES = 256 * 1024**2
#: One per watched folder tree; other programs of the same user need some too.
FEW_INOTIFY_INSTANCES = 16


class Level(Enum):
    OK = "ok"
    WARNING = "warning"  # it works; something may not hold that you count on
    REFUSED = "refused"  # a promise does not hold, or nothing works


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    #: What was looked at, such as "disk" or "topic runs".
    subject: str
    level: Level
    message: str
    remedy: str = ""

    def document(self) -> dict[str, str]:
        return {
            "subject": self.subject,
            "level": self.level.value,
            "message": self.message,
            "remedy": self.remedy,
        }


Check = Callable[[Settings], Iterator[Finding]]


def examine(settings: Settings) -> Iterator[Finding]:
    """One finding after the other, as they are found; blocks for seconds where something does not answer."""
    checks: list[Check] = [_failpoint, _python, _data_dir, _disk, _history, _inotify, _containment]
    for check in checks:
        yield from check(settings)
    if settings.transport == "embedded":
        yield from _embedded(settings)
    else:
        yield from _kafka(settings)
    yield from _gateway(settings)


def ok(subject: str, message: str) -> Finding:
    return Finding(subject=subject, level=Level.OK, message=message)


def warning(subject: str, message: str, remedy: str) -> Finding:
    return Finding(subject=subject, level=Level.WARNING, message=message, remedy=remedy)


def refused(subject: str, message: str, remedy: str) -> Finding:
    return Finding(subject=subject, level=Level.REFUSED, message=message, remedy=remedy)


def _failpoint(_: Settings) -> Iterator[Finding]:
    if text := os.environ.get(failpoints.VARIABLE, ""):
        told = f"{failpoints.VARIABLE}={text}: a role started like this kills itself on purpose"
        yield refused("failpoint", told, f"Take {failpoints.VARIABLE} out of the environment.")


def _python(_: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < MIN_PYTHON:
        yield refused("python", f"Python {version} is too old", "Install Python 3.11 or newer.")
    elif not sys.platform.startswith("linux"):
        yield refused("python", f"this is {sys.platform}", "Run Headrace on Linux: it needs /proc and process groups.")
    else:
        yield ok("python", f"Python {version} on Linux")


def _data_dir(settings: Settings) -> Iterator[Finding]:
    folder = _existing(settings.data_dir)
    if not folder.is_dir():
        yield refused("data", f"{folder} is no folder", "Name another one: HEADRACE_DATA_DIR.")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield refused("data", f"{folder} cannot be written", f"Give this user the right: chown or chmod {folder}.")
    else:
        yield ok("data", f"{settings.data_dir} can be written")


def _disk(settings: Settings) -> Iterator[Finding]:
    try:
        free = shutil.disk_usage(_existing(settings.data_dir)).free
    except OSError as error:
        yield refused("disk", f"its free space cannot be read: {error}", "Look at the disk below HEADRACE_DATA_DIR.")
        return
    told = f"{free / 1024**3:.1f} GB free below {settings.data_dir}"
    remedy = "Make room, or move HEADRACE_DATA_DIR to a larger disk."
    if free < NO_DISK_BYTES:
        yield refused("disk", told, remedy)
    elif free < LOW_DISK_BYTES:
        yield warning("disk", told, remedy)
    else:
        yield ok("disk", told)


def _history(settings: Settings) -> Iterator[Finding]:
    if settings.history.url.startswith(POSTGRES):
        yield from _history_on_postgres(settings)
        return
    path = settings.history_path
    if not path.exists():
        yield ok("history", f"{path} does not exist yet; the recorder makes it")
        return
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        remedy = "Stop the recorder, move the file away and start it again: it fills a new one from the topics."
        yield refused("history", f"{path} cannot be read: {error}", remedy)
    else:
        yield ok("history", f"{path}, {path.stat().st_size / 1024**2:.1f} MB")


def _history_on_postgres(settings: Settings) -> Iterator[Finding]:
    try:
        with closing(make_history(settings)) as store:
            version = store.schema_version()
    except HeadraceError as error:
        yield refused("history", str(error), error.remedy)
        return
    if version > store.known_version:
        told = f"{store.place} has schema {version}; this version of Headrace knows {store.known_version}"
        yield refused("history", told, "Start the newer version of Headrace again.")
    else:
        yield ok("history", store.place if version else f"{store.place} is empty yet; the recorder fills it")


def _inotify(_: Settings) -> Iterator[Finding]:
    try:
        limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    except (OSError, ValueError):
        return
    if limit < FEW_INOTIFY_INSTANCES:
        remedy = "sysctl fs.inotify.max_user_instances=128"
        yield warning("inotify", f"only {limit} watched folder trees are possible for this user", remedy)


def _containment(settings: Settings) -> Iterator[Finding]:
    """Makes a control group to see whether it can, and removes it."""
    wanted = settings.executor
    try:
        found = Containment(wanted.containment).probe(wanted.max_processes)
    except HeadraceError as error:
        yield refused("containment", str(error), error.remedy)
        return
    if found.limit_folder or wanted.containment == "sweep":
        yield ok("containment", describe(found))
    else:
        remedy = "Give the executor a cgroup v2 of its own with the pids controller (systemd: Delegate=yes)."
        yield warning("containment", describe(found), remedy)


def _embedded(settings: Settings) -> Iterator[Finding]:
    """Reads the kernel's list of locks: taking the lock, even for a moment, could keep a starting Headrace out."""
    lock = settings.data_dir / "log" / "lock"
    try:
        inode = lock.stat().st_ino
        held = any(f":{inode} " in line for line in Path("/proc/locks").read_text().splitlines())
        owner = lock.read_text()
    except FileNotFoundError:
        yield ok("transport", "embedded; its log does not exist yet")
    except OSError as error:
        yield refused("transport", f"{lock} cannot be read: {error}", "Give this user the right to read it.")
    else:
        yield ok("transport", f"embedded; the log is in use by process {owner}" if held else "embedded; not in use")


def _kafka(settings: Settings) -> Iterator[Finding]:
    try:
        from processor.ops.doctor_kafka import examine_kafka
    except ImportError as error:
        remedy = "Install them: pip install 'headrace[kafka]'."
        yield refused("transport", f"the Kafka clients are not installed: {error}", remedy)
        return
    yield from examine_kafka(settings)


def _gateway(settings: Settings) -> Iterator[Finding]:
    url = settings.gateway.client_url
    try:
        functions = Client(url).functions()
    except Unreachable as error:
        yield warning("gateway", str(error), "Start it: `headrace dev`, or `headrace start gateway`.")
    except (CommandFailed, HeadraceError) as error:
        yield warning("gateway", f"{url}: {error}", error.remedy or "Look at the gateway's log.")
    else:
        yield ok("gateway", f"{url}, {len(functions)} functions")


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
