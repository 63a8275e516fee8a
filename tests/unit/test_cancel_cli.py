"""`headrace runs cancel` against a small server that answers what a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.cli.app import run
from processor.cli.errors import Exit
from tests.unit.test_cli_client import ID, RUN, Gateway

CANCEL = f"POST /v1/runs/{ID}/cancel"
CANCELLED = RUN | {
    "status": "ABORTED",
    "status_code": 499,
    "result": None,
    "error": {"type": "Cancelled", "message": "it was cancelled", "stack": ""},
}
TOO_LATE = {"status": 409, "detail": "the run has ended", "remedy": "Nothing runs.", "run": RUN}


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Gateway]:
    monkeypatch.chdir(tmp_path)
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def cancel(gateway: Gateway, *arguments: str) -> int:
    return run(["runs", "cancel", ID, *arguments, "--gateway", gateway.url])


def test_it_says_that_the_run_is_being_cancelled(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.answer(CANCEL, {"request_id": ID, "cancelling": True}, 202)
    assert cancel(gateway, "--grace", "2.5") == Exit.OK
    assert capsys.readouterr().out == f"{ID} is being cancelled\n"
    assert json.loads(gateway.asked[-1][2]) == {"grace": 2.5}


def test_it_waits_for_the_verdict_when_asked(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.answer(CANCEL, {"request_id": ID, "cancelling": True}, 202)
    gateway.answer(f"GET /v1/runs/{ID}?wait=60", RUN | {"status": "RUNNING", "status_code": None, "ended_at": None})
    gateway.answer(f"GET /v1/runs/{ID}?wait=60", CANCELLED)
    assert cancel(gateway, "--wait") == Exit.OK
    assert capsys.readouterr().out == "ABORTED 499 Cancelled: it was cancelled\n"


def test_a_run_that_ended_meanwhile_is_no_success(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.answer(CANCEL, {"request_id": ID, "cancelling": True}, 202)
    gateway.answer(f"GET /v1/runs/{ID}?wait=60", RUN)
    assert cancel(gateway, "--wait", "-o", "json") == Exit.FAILED
    assert json.loads(capsys.readouterr().out) == RUN


@pytest.mark.parametrize("more", [(), ("--wait",)])
def test_too_late_prints_the_real_end(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    gateway.answer(CANCEL, TOO_LATE, 409)
    gateway.answer(f"GET /v1/runs/{ID}?wait=60", RUN)
    assert cancel(gateway, *more) == Exit.FAILED
    assert capsys.readouterr().out == "FINISHED 200\n"


def test_a_run_that_is_cancelled_already_is_a_success(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.answer(CANCEL, {"request_id": ID, "cancelled": True, "run": CANCELLED})
    assert cancel(gateway) == Exit.OK
    assert capsys.readouterr().out.startswith("ABORTED 499")


@pytest.mark.parametrize(("status", "code"), [(404, Exit.USAGE), (400, Exit.USAGE), (503, Exit.UNREACHABLE)])
def test_what_cannot_be_cancelled_is_said_with_what_to_do(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], status: int, code: Exit
) -> None:
    gateway.answer(CANCEL, {"status": status, "detail": "no such run", "remedy": "Look at the list."}, status)
    assert cancel(gateway) == code
    assert capsys.readouterr().err == "headrace: no such run\n  -> Look at the list.\n"
