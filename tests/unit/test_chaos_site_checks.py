"""What chaos sees from outside: logs, leftovers, evidence of its own handlers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from processor.ops.audit.evidence import Answer, read_evidence
from processor.ops.chaos.functions import journal
from processor.ops.chaos.load import Acknowledgements, Throttle
from processor.ops.chaos.site_checks import left_folders, left_processes, logged_actions


def test_a_process_that_knows_the_folder_is_left_over_until_it_ends(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.write('up\\n'); sys.stdout.flush(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "JOURNAL": str(tmp_path / "journal")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert [each.split(":")[0] for each in left_processes(tmp_path)] == [f"process {process.pid}"]
        process.communicate("")
    assert left_processes(tmp_path) == []


def test_a_temporary_folder_of_an_instance_is_left_over(tmp_path: Path) -> None:
    (tmp_path / "executor" / "vm" / "instances").mkdir(parents=True)
    assert left_folders(tmp_path) == []
    (tmp_path / "executor" / "vm" / "instances" / "4119b4797342").mkdir()
    assert left_folders(tmp_path) == ["executor/vm/instances/4119b4797342"]


def test_actions_are_counted_over_all_logs_whatever_else_stands_in_them(tmp_path: Path) -> None:
    log = tmp_path / "executor-1.log"
    log.write_text('{"action":"guard_lost"}\nTraceback (most recent call last):\n{"action":"guard_lost"}\n3\n')
    actions = logged_actions([log])
    assert (actions["guard_lost"], actions["unreadable"]) == (2, 2)


def test_acknowledgements_are_read_back_by_the_audit(tmp_path: Path) -> None:
    told = Acknowledgements(tmp_path / "told")
    told.add("a", "", Answer.UNKNOWN, "ConnectionResetError()")
    told.add("a", "1", Answer.OK)
    told.add("a", "1", Answer.OK)
    told.close()
    assert told.count() == 1
    evidence = read_evidence([told.path], [])
    assert [each.answer for each in evidence.sent] == [Answer.UNKNOWN, Answer.OK, Answer.OK]
    assert evidence.acknowledged() == {"1"}


def test_the_handler_notes_start_and_end_as_the_audit_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "journal"
    monkeypatch.setenv("JOURNAL", str(path))
    assert journal.run({"lines": 2}, {"request_id": "r"}) == "r"
    assert journal.run(None, {"request_id": "s"}) == "s"
    kept = read_evidence([], [path]).journal
    assert kept is not None
    assert kept.starts == kept.ends == {"r": 1, "s": 1}
    assert capsys.readouterr().out == "line 0\nline 1\n"


def test_a_burst_makes_callers_faster_and_slow_runs_no_more_frequent() -> None:
    throttle = Throttle(40.0)
    assert throttle.pause_sec(4) == pytest.approx(0.1)
    slow_per_sec = throttle.slow_share() * 40.0
    throttle.factor = 10.0
    assert throttle.pause_sec(4) == pytest.approx(0.01)
    assert throttle.slow_share() * 400.0 == pytest.approx(slow_per_sec)
