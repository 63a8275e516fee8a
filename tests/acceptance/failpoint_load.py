"""Load on an installation whose processes are killed: events over HTTP, files in a folder, with evidence of both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.acceptance.callers import Caller
from tests.waiting import until

LIMIT_SEC = 60.0
LOOK_SEC = 0.1
STOP_SEC = 10.0


class Target(Protocol):
    folder: Path
    uploads: Path
    port: int
    told: list[Path]
    files: list[str]


class Feeder(threading.Thread):
    """Does something again and again until it is told to stop."""

    def __init__(self, act: Callable[[int], None], *, per_sec: float) -> None:
        super().__init__(daemon=True)
        self._act, self._pause_sec = act, 1 / per_sec
        self._done = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._done.wait(self._pause_sec):
            self._act(number)
            number += 1

    def stop(self) -> None:
        self._done.set()
        self.join(STOP_SEC)
        assert not self.is_alive()


class Load:
    """Events over HTTP and files in a folder, both with evidence. `name` begins what they are called."""

    def __init__(self, site: Target, name: str, *, function: str = "work", sec: float = 0.05) -> None:
        self._site = site
        per_sec = 20.0 if function == "work" else 4.0
        data = {"sec": sec, "lines": 2}
        self.caller = Caller(lambda: site.port, function, per_sec=per_sec, data=data, name=name)
        self._dropper = Feeder(self._drop, per_sec=4.0)
        self._name = name
        self._stopped = False

    def start(self) -> None:
        self.caller.start()
        self._dropper.start()

    def await_more(self, count: int = 3) -> None:
        """Blocks until so many more events are acknowledged."""
        wanted = len(self.caller.acknowledged) + count
        until(lambda: len(self.caller.acknowledged) >= wanted, f"no {count} more events are acknowledged")

    @property
    def runs(self) -> set[str]:
        return set(self.caller.acknowledged.values())

    def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._dropper.stop()
        self.caller.stop()
        self._site.told.append(self.caller.write_down(self._site.folder / f"told {self._name}"))

    def _drop(self, number: int) -> None:
        name = f"{self._name} {number}.txt"
        hidden = self._site.uploads / f".{name}"
        hidden.write_text(name)
        hidden.rename(self._site.uploads / name)
        self._site.files.append(name)
