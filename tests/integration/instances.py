"""A pool of real processes as the tests of instances drive it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from processor.core.clock import SystemClock
from processor.executor.abstract import (
    FunctionCode,
    InstanceChanged,
    LogLines,
    Pool,
    PoolEvent,
    RunEnded,
    RunInput,
    RunStarted,
)
from processor.executor.options import PoolOptions
from processor.executor.pool import InstancePool

FUNCTIONS = Path(__file__).parents[1] / "functions"
RunEvent = TypeVar("RunEvent", LogLines, RunStarted, RunEnded)
#: Processes while `leaves_a_family` runs: zygote, instance, and at least so many of the family.
FAMILY = 2 + 5
#: Nothing here takes long; what does has failed.
LIMIT_SEC = 30.0


@dataclass
class Driver:
    pool: InstancePool
    data_dir: Path
    events: list[PoolEvent] = field(default_factory=list)
    given: int = 0

    def begin(self, handler: str, data: object = None, *, concurrency: int = 4, **code: Any) -> str:
        """Gives a run of tests/functions/workloads.py to the pool; returns its delivery."""
        self.given += 1
        options = {"name": handler, "version": "v1", "code_dir": FUNCTIONS, "timeout_sec": 20.0, **code}
        event = {"specversion": "1.0", "id": str(self.given), "source": "/test", "type": "t", "data": data}
        run = RunInput(f"request-{self.given}", f"queue/0/{self.given}", json.dumps(event).encode())
        handler = handler if ":" in handler else f"workloads:{handler}"
        self.pool.start_run(FunctionCode(handler=handler, **options), run, concurrency=concurrency)
        return run.delivery

    def run(self, handler: str, data: object = None, **code: Any) -> RunEnded:
        return self.ended(self.begin(handler, data, **code))

    def until(self, found: Callable[[], Any], what: str) -> Any:
        give_up_at = time.monotonic() + LIMIT_SEC
        while not (result := found()):
            assert time.monotonic() < give_up_at, f"waited in vain for {what}; events: {self.events[-20:]}"
            self.events += self.pool.poll(0.05)
        return result

    def ended(self, delivery: str) -> RunEnded:
        found: list[RunEnded] = self.until(lambda: self._of(RunEnded, delivery), f"the end of {delivery}")
        return found[0]

    def started(self, delivery: str) -> RunStarted:
        found: list[RunStarted] = self.until(lambda: self._of(RunStarted, delivery), f"the start of {delivery}")
        return found[0]

    def said(self, delivery: str, text: str) -> None:
        self.until(lambda: text in self.texts(delivery), f"{text!r} of {delivery}")

    def gone(self, pid: int) -> None:
        """Waits until the pool knows that this instance is gone."""
        self.until(lambda: any(_tells_end_of(pid, event) for event in self.events), f"the end of process {pid}")

    def lines(self, delivery: str) -> list[Any]:
        return [line for event in self._of(LogLines, delivery) for line in event.lines]

    def texts(self, delivery: str) -> list[str]:
        return [line[4] for line in self.lines(delivery) if line[4] != "workloads imported"]

    def _of(self, kind: type[RunEvent], delivery: str) -> list[RunEvent]:
        return [event for event in self.events if isinstance(event, kind) and event.delivery == delivery]

    def processes(self) -> list[int]:
        """Everything alive that has this pool's temporary folder in the environment it was started with."""
        mark = f"TMPDIR={self.data_dir}/".encode()
        return [pid for pid in _all_pids() if mark in _environ(pid)]


def _tells_end_of(pid: int, event: PoolEvent) -> bool:
    return isinstance(event, InstanceChanged) and not event.alive and event.instance.endswith(f"#{pid}")


def keeps_the_contract(made: Pool) -> None:
    """The type checker's proof."""


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def pid_of(ended: RunEnded | RunStarted) -> int:
    return int(ended.instance.rpartition("#")[2])


def parent_of(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def result_of(ended: RunEnded) -> Any:
    assert ended.status_code == 200, ended
    return None if ended.result is None else json.loads(ended.result)


@contextlib.contextmanager
def pool(folder: Path, *, may_start: Callable[[], bool] = lambda: True, **options: Any) -> Iterator[Driver]:
    settings = {"slots": 2, **options}
    made = InstancePool(options=PoolOptions(data_dir=folder, **settings), clock=SystemClock())
    made.start(may_start)
    driver = Driver(made, folder)
    keeps_the_contract(made)
    try:
        yield driver
    finally:
        assert made.join(LIMIT_SEC)
    assert driver.processes() == []
