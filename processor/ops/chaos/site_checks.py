"""What can be seen of an installation from outside: what is still open, what has been logged, what is left over."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import orjson

from processor.cli.client import Client
from processor.core.errors import HeadraceError
from processor.core.run import Status
from processor.executor.folders import PARENT
from processor.ops.chaos.installation import Installation
from processor.ops.chaos.timeline import TICKS
from processor.recorder.sqlite import SqliteHistoryStore
from processor.recorder.store import HistoryError

LOOK_EVERY_SEC = 0.5
#: So long nothing may change before it counts as the end.
QUIET_SEC = 3.0
SILENCE_SEC = 30.0
_OPEN = (Status.QUEUED.value, Status.RUNNING.value)


def drain(site: Installation, expected: Callable[[], int], limit_sec: float, stalled_sec: float) -> list[str]:
    """Blocks until the history knows as many runs as expected, none of them open, and nothing changes any more.

    Returns what was still missing when the time was over, or nothing had changed for stalled_sec. The history is the
    only thing that can be read of a running embedded log; whether it is right is for the audit to say.
    """
    deadline_sec = time.monotonic() + limit_sec
    before: Mapping[tuple[str, str], int] = {}
    changed_sec = time.monotonic()
    while True:
        counts = _counts(site)
        if counts != before:
            before, changed_sec = counts, time.monotonic()
        missing = _missing(counts, expected())
        if not missing and time.monotonic() - changed_sec >= QUIET_SEC:
            return []
        now_sec = time.monotonic()
        if now_sec > deadline_sec or now_sec - changed_sec > stalled_sec:
            return missing or ["the history changes all the time"]
        time.sleep(LOOK_EVERY_SEC)


def _counts(site: Installation) -> Mapping[tuple[str, str], int]:
    store = SqliteHistoryStore(site.history)
    try:
        return store.run_counts()
    except HistoryError:
        return {}
    finally:
        store.close()


def _missing(counts: Mapping[tuple[str, str], int], expected: int) -> list[str]:
    missing = [f"{count} runs of {name} are {status}" for (name, status), count in counts.items() if status in _OPEN]
    known = sum(count for (name, _), count in counts.items() if name != TICKS)
    if known < expected:
        missing.append(f"the history has {known} runs of {expected}")
    return missing


def silence_schedules(site: Installation) -> list[str]:
    """They would fire for ever. Blocks; a gateway that does not answer is asked for a while. Returns why it failed."""
    client = Client(f"http://127.0.0.1:{site.port}")
    deadline_sec = time.monotonic() + SILENCE_SEC
    while True:
        try:
            for each in client.triggers(function=TICKS):
                client.order_trigger(each["id"], "pause")
            return []
        except HeadraceError as error:
            if time.monotonic() > deadline_sec:
                return [f"the schedule could not be paused: {error}"]
        time.sleep(LOOK_EVERY_SEC)


def logged_actions(logs: Iterable[Path]) -> Counter[str]:
    """How often each thing happened that roles log; their logs are JSON lines here."""
    found: Counter[str] = Counter()
    for path in logs:
        for line in path.read_bytes().splitlines():
            try:
                found[str(orjson.loads(line).get("action", ""))] += 1
            except (ValueError, AttributeError):
                found["unreadable"] += 1
    return found


def left_processes(folder: Path) -> list[str]:
    """Processes that know the folder: roles, guards, zygotes and instances all do."""
    mark = os.fsencode(folder)
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        if path.name == str(os.getpid()):
            continue
        try:
            known = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        except OSError:
            continue
        if mark in known and b"kafka.Kafka" not in known:
            found.append(f"process {path.name}: {known.split(bytes(1))[1:4]!r}")
    return found


def left_folders(data: Path) -> list[str]:
    return [str(each.relative_to(data)) for parent in data.rglob(PARENT) for each in parent.iterdir()]
