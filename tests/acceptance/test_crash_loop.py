"""An executor that dies again and again, soon after it began."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import orjson
import pytest

from tests.acceptance.callers import starts
from tests.acceptance.dev_server import DevServer

FUNCTIONS = Path(__file__).parent.parent / "functions"
EVENTS = 10
MANIFEST = """
version: 1
functions:
  work:
    handler: journal:until_gate
    code: {code}
    concurrency: 4
    env: {{JOURNAL: "{journal}", GATE: "{gate}"}}
"""


@pytest.mark.timeout(120)
def test_a_crash_loop_costs_one_run_with_each_death_and_not_the_backlog(tmp_path: Path) -> None:
    journal, gate = tmp_path / "journal", tmp_path / "gate"
    manifest = MANIFEST.format(code=FUNCTIONS, journal=journal, gate=gate)
    server = DevServer(tmp_path, manifest)
    runs = [server.accepted("work", orjson.dumps(number)) for number in range(EVENTS)]
    await_starts(journal, 4)
    for died in range(1, 4):
        server.role.send(signal.SIGKILL)
        server.role.stop()
        server = DevServer(tmp_path, manifest)
        await_starts(journal, 4 + died)
    waiting = next(run for run in runs if run not in starts(journal))
    await_reason(server, waiting, "3 in a row")
    assert sum(starts(journal).values()) == 7, "one with each"
    gate.touch()
    ends = [server.end_of(run) for run in runs]
    server.stop()
    assert [each["status_code"] for each in ends].count(500) == 6
    assert [each["status_code"] for each in ends].count(200) == EVENTS - 6
    assert max(starts(journal).values()) == 1
    assert "executors of this name in a row died" in (tmp_path / "dev.log").read_text()


def await_starts(journal: Path, count: int) -> None:
    deadline_sec = time.monotonic() + 30
    while sum(starts(journal).values()) < count:
        assert time.monotonic() < deadline_sec, starts(journal)
        time.sleep(0.02)


def await_reason(server: DevServer, run: str, said: str) -> None:
    deadline_sec = time.monotonic() + 30
    while said not in (reason := server.ask("GET", f"/v1/runs/{run}").document["wait_reason"] or ""):
        assert time.monotonic() < deadline_sec, reason
        time.sleep(0.05)
