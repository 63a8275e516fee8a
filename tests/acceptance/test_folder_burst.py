"""Many files at once in a watched folder of `headrace dev`: each is one run, also when it is killed amid them."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from processor.core.run import Status
from processor.transport.embedded import EmbeddedTransport
from tests.acceptance.callers import verdicts
from tests.acceptance.dev_server import DevServer

FUNCTIONS = Path(__file__).parent.parent / "functions"
MANIFEST = """
version: 1
functions:
  files:
    handler: files:arrived
    code: {code}
    concurrency: 64
    rate: 100000/s
    env: {{JOURNAL: "{journal}"}}
    events:
      - folder: {{path: "{inbox}", event_format: data}}
"""
#: Files in one sub-folder.
SOME = 100
#: In which so many files a second are certain to be run.
FILES_PER_SEC = 40


class Inbox:
    def __init__(self, base: Path) -> None:
        self._base = base
        self.folder = base / "in"
        self.folder.mkdir()
        self._journal = base / "journal"

    def serve(self) -> DevServer:
        names = {"code": FUNCTIONS, "journal": self._journal, "inbox": self.folder}
        return DevServer(self._base, MANIFEST.format(**names))

    def drop(self, count: int) -> set[str]:
        keys = {f"{number // SOME}/{number}" for number in range(count)}
        for key in keys:
            path = self.folder / key
            path.parent.mkdir(exist_ok=True)
            path.write_text(key)
        return keys

    def started(self) -> list[tuple[str, str]]:
        """RequestId and key of each start."""
        lines = self._journal.read_text().splitlines() if self._journal.exists() else []
        return [(run, key) for run, _, key in (line.partition(" ") for line in lines)]


def await_ends(server: DevServer, count: int) -> None:
    """Blocks until the history has so many runs that have ended."""
    deadline = time.monotonic() + 30 + count / FILES_PER_SEC
    while (ended := count_ended(server)) < count:
        assert time.monotonic() < deadline, f"{ended} of {count} files made a run that has ended"
        time.sleep(0.5)


def count_ended(server: DevServer) -> int:
    ended, cursor = 0, ""
    while True:
        page = server.ask("GET", f"/v1/runs?limit=500{cursor}").document
        ended += sum(each["ended_at"] is not None for each in page["runs"])
        if page["cursor"] is None:
            return ended
        cursor = f"&cursor={page['cursor']}"


def verdicts_of(server: DevServer) -> dict[str, Status]:
    """Of each run, straight from the log: its first end. Recovery may say twice that a run was lost with its executor;
    what it may not do is say it of two deliveries.
    """
    with EmbeddedTransport(server.data / "log") as transport:
        found = verdicts(transport)
    assert {len({each.delivery for each in ends}) for ends in found.values()} == {1}
    return {run: ends[0].status for run, ends in found.items()}


@pytest.mark.parametrize(
    "count", [500, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(400)])], ids=str
)
def test_each_file_of_a_burst_makes_one_run(tmp_path: Path, count: int) -> None:
    inbox = Inbox(tmp_path)
    server = inbox.serve()
    try:
        keys = inbox.drop(count)
        await_ends(server, count)
    finally:
        server.stop()
    started = inbox.started()
    assert Counter(key for _, key in started) == dict.fromkeys(keys, 1)
    assert verdicts_of(server) == {run: Status.FINISHED for run, _ in started}


@pytest.mark.parametrize(
    "count", [300, pytest.param(3_000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])], ids=str
)
def test_a_kill_amid_a_burst_repeats_and_loses_no_file(tmp_path: Path, count: int) -> None:
    inbox = Inbox(tmp_path)
    server = inbox.serve()
    keys = inbox.drop(count)
    while not inbox.started():
        time.sleep(0.01)
    server.role.send(signal.SIGKILL)
    server.role.stop()
    server = inbox.serve()
    try:
        await_ends(server, count)
    finally:
        server.stop()
    started = inbox.started()
    assert max(Counter(key for _, key in started).values()) == 1, "a file was run twice"
    assert {key for _, key in started} <= keys
    found = verdicts_of(server)
    assert len(found) == count, "each file is one run"
    lost = {run for run, status in found.items() if status is not Status.FINISHED}
    assert found.keys() - lost <= {run for run, _ in started}
    assert len(lost) < count, "only what the killed process had claimed"
