"""Cancelling as people do it: `headrace runs cancel`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from processor.core.request_id import request_id
from processor.ops.processes import CommandFailed, headrace
from tests.acceptance.dev_server import DevServer
from tests.acceptance.test_drain import FUNCTIONS, started_pid

MANIFEST = """
version: 1
functions:
  work: {{handler: "journal:run", code: {code}, concurrency: 1, env: {{JOURNAL: "{journal}"}}}}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DevServer]:
    made = DevServer(tmp_path, MANIFEST.format(code=FUNCTIONS, journal=tmp_path / "journal"))
    try:
        yield made
    finally:
        made.stop()


def cancel(server: DevServer, *arguments: str) -> str:
    url = f"http://127.0.0.1:{server.port}"
    return headrace(["runs", "cancel", *arguments, "--gateway", url], {})


def test_what_waits_and_what_runs_is_cancelled_and_too_late_is_told(server: DevServer, tmp_path: Path) -> None:
    running, waiting = server.accepted("work", b'{"sec": 600}'), server.accepted("work")
    pid = started_pid(tmp_path / "journal", running)
    first = cancel(server, waiting, "--wait")
    assert first == cancel(server, waiting, "--wait") == cancel(server, waiting)
    assert first == "ABORTED 499 Cancelled: it was cancelled before it was started\n"
    assert cancel(server, running, "--grace", "5") == f"{running} is being cancelled\n"
    assert orjson.loads(cancel(server, running, "--wait", "-o", "json"))["status_code"] == 499
    assert not Path(f"/proc/{pid}").exists()
    finished = server.accepted("work")
    assert server.end_of(finished)["status"] == "FINISHED"
    with pytest.raises(CommandFailed, match="exit 1: FINISHED 200"):
        cancel(server, finished)
    with pytest.raises(CommandFailed, match="exit 2"):
        cancel(server, request_id("work", "nobody", "0"))
