from __future__ import annotations

import signal
from pathlib import Path

import pytest

from processor.core.run import StatusCode
from processor.executor import verdict
from processor.executor.abstract import FunctionCode
from processor.executor.crew import FIRST_BACK_OFF_SEC, MAX_BACK_OFF_SEC, Crew

CODE = FunctionCode(name="f", version="1", handler="m:h", code_dir=Path("/code"), timeout_sec=1.0)
WHY = verdict.lost("it does not start")


def test_a_version_that_does_not_start_is_left_alone_longer_and_longer() -> None:
    crew = Crew(CODE)
    now_sec = 0.0
    waits = []
    for _ in range(10):
        crew.failed(WHY, now_sec)
        assert crew.failing(now_sec) is WHY
        assert crew.back_off is not None
        waits.append(crew.back_off.until_sec - now_sec)
        now_sec = crew.back_off.until_sec
        assert crew.failing(now_sec) is None
    assert waits[:3] == [FIRST_BACK_OFF_SEC, 2 * FIRST_BACK_OFF_SEC, 4 * FIRST_BACK_OFF_SEC]
    assert waits[-1] == MAX_BACK_OFF_SEC


def test_a_start_that_works_forgets_the_failures() -> None:
    crew = Crew(CODE)
    crew.failed(WHY, 0.0)
    crew.succeeded()
    assert crew.failing(0.0) is None


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (0, "exit status 0"),
        (3 << 8, "exit status 3"),
        (signal.SIGKILL, "signal: killed"),
        (signal.SIGSEGV, "signal: segmentation fault"),
        (signal.SIGTERM, "signal: terminated"),
        (signal.SIGRTMIN + 1, f"signal: real-time signal {1}"),
    ],
)
def test_the_end_of_a_process_is_told_in_words(status: int, message: str) -> None:
    code, error, result = verdict.ended(status)
    assert (code, result) == (StatusCode.PROCESS_EXITED, None)
    assert error is not None
    assert error.type == "Runtime.ExitError"
    assert error.message.startswith(message)


def test_an_end_that_nobody_saw_is_a_lost_instance() -> None:
    assert verdict.ended(None).code is StatusCode.INSTANCE_LOST
