from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from processor.core.errors import HeadraceError


class NotReady(HeadraceError):
    """A role did not become ready in time."""

    remedy = "Look at its output above."


class CommandFailed(HeadraceError):
    """A `headrace` command ended with an error."""


def headrace(arguments: Sequence[str], environment: Mapping[str, str], timeout_sec: float = 60.0) -> str:
    """Runs a command to its end and returns what it printed. Raises CommandFailed."""
    done = subprocess.run(
        [sys.executable, "-m", "processor", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout_sec,
        check=False,
    )
    if done.returncode:
        raise CommandFailed(f"headrace {' '.join(arguments)}: exit {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


class Role:
    """A `headrace` command as a process of its own, and the lines it prints."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log_file: Path) -> None:
        self.arguments = list(arguments)
        self._started_sec = time.monotonic()
        self._log = log_file.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "processor", *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def age_sec(self) -> float:
        return time.monotonic() - self._started_sec

    def wait_for(self, beginning: str, timeout_sec: float = 30.0) -> str:
        """Blocks until a line begins so, and returns it. Raises NotReady."""
        deadline = time.monotonic() + timeout_sec
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                raise NotReady(f"{' '.join(self.arguments)}: no line {beginning!r} in {timeout_sec:g} s") from None
            if line is None:
                raise NotReady(f"{' '.join(self.arguments)}: ended with {self._process.wait()}")
            if line.startswith(beginning):
                return line

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def resident_mb(self) -> float:
        """Of this process and all its descendants: the sum of their proportional set sizes."""
        return sum(_pss_kb(pid) for pid in (self.pid, *descendants(self.pid))) / 1024

    def join(self, timeout_sec: float) -> int:
        """Blocks until it has ended by itself, and returns the exit code. Raises NotReady."""
        try:
            return self._process.wait(timeout_sec)
        except subprocess.TimeoutExpired:
            raise NotReady(f"{' '.join(self.arguments)}: not ended within {timeout_sec:g} s") from None
        finally:
            self._log.close()

    def stop(self, timeout_sec: float = 20.0) -> int:
        """SIGTERM, then SIGKILL after the time limit. Returns the exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(timeout_sec)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(10)
        finally:
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(each) for each in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def _pss_kb(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
