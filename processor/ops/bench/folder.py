"""Watched folders: how soon a file is in its handler's hands, and how fast many are, through `headrace dev`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processor.core.errors import HeadraceError
from processor.ops.bench.figures import Figure, percentile
from processor.ops.processes import Role

FILES = 200
FILE_EVERY_SEC = 0.05
WARM_FILES = 40
BURST_FILES = 10_000
BURST_LIMIT_SEC = 600.0
READY_SEC = 60.0
_LOOK_SEC = 0.1
CONTENT = b"x" * 4_096
MANIFEST = """
version: 1
functions:
  bench-files:
    handler: files:arrived
    code: {code}
    concurrency: 64
    rate: 1000000/s
    env: {{ARRIVALS: "{arrivals}"}}
    events:
      - folder: {{path: "{inbox}", event_format: data}}
"""


class FilesMissing(HeadraceError):
    """Not every file has reached its handler."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inbox:
    """A watched folder and what its handler has noted."""

    folder: Path
    arrivals: Path

    def drop(self, name: str) -> float:
        """Returns when it was closed, Unix seconds."""
        with (self.folder / name).open("wb", buffering=0) as file:
            file.write(CONTENT)
        return time.time()

    def arrived(self) -> list[tuple[str, float]]:
        """Name and time of each run."""
        lines = self.arrivals.read_text().splitlines() if self.arrivals.exists() else []
        return [(path.rpartition("/")[2], float(at)) for at, _, path in (line.partition(" ") for line in lines)]

    def wait_for(self, names: Set[str], limit_sec: float) -> dict[str, float]:
        """When each of these arrived. Raises FilesMissing, also when one came twice."""
        deadline = time.monotonic() + limit_sec
        while missing := names - {name for name, _ in self.arrived()}:
            if time.monotonic() > deadline:
                raise FilesMissing(f"{len(missing)} of {len(names)} files are missing after {limit_sec:g} s")
            time.sleep(_LOOK_SEC)
        found = [(name, at) for name, at in self.arrived() if name in names]
        if len(found) > len(names):
            raise FilesMissing(f"{len(names)} files made {len(found)} runs")
        return dict(found)


def folder(burst_files: int = BURST_FILES) -> list[Figure]:
    with _inbox() as inbox:
        return _latency(inbox) + _burst(inbox, burst_files)


def _latency(inbox: Inbox) -> list[Figure]:
    _drop_steadily(inbox, "warm", WARM_FILES)
    delays = [each * 1000 for each in _drop_steadily(inbox, "file", FILES)]
    name = "close of a file to first line at 20/s, embedded"
    return [
        Figure(name=f"{name}, p50", value=percentile(delays, 0.5), unit="ms", target=None, better="lower"),
        Figure(name=f"{name}, p95", value=percentile(delays, 0.95), unit="ms", target=100, better="lower"),
    ]


def _drop_steadily(inbox: Inbox, name: str, count: int) -> list[float]:
    """Returns the seconds from each close to its handler's first line."""
    closed: dict[str, float] = {}
    for number in range(count):
        closed[f"{name}-{number}"] = inbox.drop(f"{name}-{number}")
        time.sleep(FILE_EVERY_SEC)
    arrived = inbox.wait_for(closed.keys(), BURST_LIMIT_SEC)
    return [arrived[each] - at for each, at in closed.items()]


def _burst(inbox: Inbox, count: int) -> list[Figure]:
    began = time.time()
    names = {f"burst-{number}" for number in range(count)}
    for name in names:
        inbox.drop(name)
    ended = max(inbox.wait_for(names, BURST_LIMIT_SEC).values())
    return [
        Figure(
            name=f"{count:,} files at once, first write to last first line, embedded",
            value=count / (ended - began),
            unit="files/s",
            target=None,
            better="higher",
        )
    ]


@contextmanager
def _inbox() -> Iterator[Inbox]:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        inbox = Inbox(folder=base / "in", arrivals=base / "arrivals")
        inbox.folder.mkdir()
        manifest = base / "functions.yaml"
        code = Path(__file__).parent / "functions"
        manifest.write_text(MANIFEST.format(code=code, arrivals=inbox.arrivals, inbox=inbox.folder))
        arguments = ["dev", "--functions", str(manifest), "--data", str(base / "data"), "--port", "0", "--no-open"]
        settings = {"HEADRACE_EXECUTOR__SLOTS": "2", "HEADRACE_LOG__LEVEL": "WARNING"}
        with Role(arguments, settings, base / "dev.log") as role:
            role.wait_for("ready dev", READY_SEC)
            yield inbox
