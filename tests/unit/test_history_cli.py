from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

import pytest

from processor.cli.app import run
from processor.cli.errors import Exit
from processor.cli.history_store import PostgresNotInstalled, make_history
from processor.cli.settings import HistorySettings, Settings
from processor.ops.doctor import examine
from processor.recorder.sqlite import SqliteHistoryStore
from tests.history_records import AT, accepted, batch, ended


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "history.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_HISTORY__URL", f"sqlite:///{path}")
    return path


def test_migrate_makes_the_tables_and_says_what_it_did(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", "migrate", "-o", "json"]) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["history"], told["before"]) == (str(history), 0)
    assert run(["history", "migrate"]) == Exit.OK
    assert capsys.readouterr().out == f"{history}: schema {told['after']}, as it should be\n"


def test_migrate_leaves_a_newer_history_alone(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer = sqlite3.connect(history)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    assert run(["history", "migrate"]) == Exit.FAILED
    told = capsys.readouterr().err
    assert f"{history} has schema 99; this version of Headrace knows" in told
    assert "Start the newer version again" in told


def test_prune_deletes_what_is_older_than_told(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = SqliteHistoryStore(history)
    store.open_for_writing()
    store.apply(batch(*(accepted(n, at_ms=n) for n in range(5_500)), *(ended(n, at_ms=n) for n in range(5_500))), AT)
    assert run(["history", "prune", "--run-days", "5", "-o", "json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == {"history": str(history), "log_days": 7, "run_days": 5}
    assert store.run_counts() == {}
    store.close()


@pytest.mark.usefixtures("history")
def test_prune_keeps_three_days_whatever_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", "prune", "--run-days", "2"]) == Exit.USAGE
    assert "--run-days: history.run_days '2' is out of range; give a number from 3" in capsys.readouterr().err


def test_a_database_that_does_not_answer_is_told_from_bad_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_HISTORY__URL", "postgresql://me:hush@127.0.0.1:1/h")
    assert run(["history", "migrate"]) == Exit.UNREACHABLE
    told = capsys.readouterr().err
    assert "the history database could not be read: " in told
    assert "hush" not in told


def test_a_history_in_postgresql_names_the_package_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in [each for each in sys.modules if each.startswith("processor.recorder.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    settings = Settings(history=HistorySettings(url="postgresql://h/h"))
    with pytest.raises(PostgresNotInstalled, match=r"needs a package that is not installed: psycopg$") as caught:
        make_history(settings)
    assert caught.value.remedy == "Install it: pip install 'headrace[postgres]'."


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_the_doctor_says_where_a_history_in_postgresql_is_or_why_it_cannot_be_read(scheme: str, tmp_path: Path) -> None:
    url = f"{scheme}://me:hush@127.0.0.1:1/h"
    findings = list(examine(Settings(data_dir=tmp_path, history=HistorySettings(url=url))))
    (found,) = [each for each in findings if each.subject == "history"]
    assert found.message.startswith("the history database could not be read: ")
    assert "hush" not in found.message
