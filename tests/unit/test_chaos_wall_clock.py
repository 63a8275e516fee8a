"""The wall clock of a process that chaos sets wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from processor.ops.chaos.wall_clock import WallClock

#: Prints its clocks each time it gets a line.
TELLS = """
import sys, time
from processor.core.clock import SystemClock
for line in sys.stdin:
    print(SystemClock().unix_ms() / 1000, time.time(), SystemClock().boottime(), flush=True)
"""


@pytest.mark.parametrize("off_sec", [3_600.0, -3_600.0])
def test_a_process_has_the_wrong_time_for_as_long_as_it_is_set_wrong_and_its_boot_clock_goes_on(
    tmp_path: Path, off_sec: float
) -> None:
    clock = WallClock(tmp_path / "clock")
    environment = {**os.environ, **clock.environment}
    command = [sys.executable, "-c", TELLS]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def off() -> list[float]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            ours, python, boot = map(float, process.stdout.readline().split())
            return [ours - time.time(), python - time.time(), boot - time.clock_gettime(time.CLOCK_BOOTTIME)]

        assert off() == pytest.approx([0, 0, 0], abs=30)
        clock.set(off_sec)
        assert off() == pytest.approx([off_sec, off_sec, 0], abs=30)
        clock.set(0)
        assert off() == pytest.approx([0, 0, 0], abs=30)


def test_the_path_of_who_runs_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    assert WallClock(tmp_path / "clock").environment["PYTHONPATH"].split(os.pathsep)[1:] == ["/theirs"]
