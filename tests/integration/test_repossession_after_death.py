"""Executor and guard killed at once: nobody is left to sweep, so the next guard on this host does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processor.executor.containment import Containment, NoControlGroups
from tests.integration import tiny_executor
from tests.integration.adversary import Site
from tests.integration.instances import pool


@pytest.fixture(params=["cgroup", "sweep"])
def containment(request: pytest.FixtureRequest) -> Containment:
    wanted = Containment(request.param)
    try:
        wanted.probe(10)
    except NoControlGroups as reason:
        pytest.skip(f"the host has no cgroup v2 that this user may write to: {reason}")
    return wanted


def kill_executor_and_guard(data_dir: Path, lock: Path, containment: Containment, event: dict[str, str]) -> None:
    program = str(Path(tiny_executor.__file__))
    given = [str(data_dir), str(lock), "1000", containment.value, "adversarial:handler", json.dumps(event)]
    with subprocess.Popen([sys.executable, program, *given], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        guard_pid = int(process.stdout.readline())
        process.send_signal(signal.SIGSTOP)
        os.kill(guard_pid, signal.SIGKILL)
        process.kill()


@pytest.mark.parametrize("trick", ["a_deaf_daemon", "a_stranger"])
def test_the_next_guard_kills_what_an_executor_killed_with_its_guard_had_left(
    tmp_path: Path, containment: Containment, trick: str
) -> None:
    site = Site(tmp_path)
    kill_executor_and_guard(tmp_path / "data", tmp_path / "lock", containment, site.event(trick, "hang"))
    assert site.survivors()
    with pool(tmp_path / "data", containment=containment) as driver:
        if containment is Containment.SWEEP and trick == "a_stranger":
            os.kill(site.survivors()[0], signal.SIGKILL)  # as guarantees.md says: it has no mark, and is in no group
        driver.until(lambda: not site.survivors(), "the end of what was left")
        driver.until(lambda: not site.folder_is_left(), "the removal of its folder")
