"""What a user sees of events that wait, and the kill switch for a function."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from processor.ops.processes import headrace
from tests.acceptance.dev_server import DevServer

FUNCTIONS = Path(__file__).parents[1] / "functions"
LIMIT_SEC = 30.0


def eventually(dev: DevServer, run: str, true: Callable[[dict[str, Any]], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SEC
    while not true(document := dev.ask("GET", f"/v1/runs/{run}").document):
        assert time.monotonic() < deadline, document
        time.sleep(0.05)


def test_a_waiting_event_says_why_and_a_paused_function_takes_events_and_starts_none(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    work = f'{{handler: "gate:run", code: {FUNCTIONS}, concurrency: 1, env: {{GATE: "{gate}"}}}}'
    dev = DevServer(tmp_path, f"version: 1\nfunctions:\n  work: {work}\n")
    environment = {"HEADRACE_GATEWAY__PORT": str(dev.port)}
    try:
        first = dev.accepted("work")
        eventually(dev, first, lambda run: run["status"] == "RUNNING")
        second = dev.accepted("work")
        eventually(dev, second, lambda run: run["position"] == 1)
        third = dev.accepted("work")
        eventually(dev, third, lambda run: run["position"] == 2)
        eventually(dev, third, lambda run: run["wait_reason"] == "concurrency: 1 of 1 running")
        assert headrace(["functions", "pause", "work"], environment) == "work paused\n"
        assert "(paused)" in headrace(["functions", "ls"], environment)
        gate.touch()
        assert dev.end_of(first)["status"] == "FINISHED", "what runs goes on"
        fourth = dev.accepted("work")
        for run in (second, third, fourth):
            assert dev.ask("GET", f"/v1/runs/{run}").document["wait_reason"] == "paused"
        assert headrace(["functions", "resume", "work"], environment) == "work resumed\n"
        for run in (second, third, fourth):
            assert dev.end_of(run)["status"] == "FINISHED"
    finally:
        dev.stop()
