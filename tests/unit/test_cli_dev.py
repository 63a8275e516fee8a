from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from processor.cli import dev
from processor.cli.app import run


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The transports with which everything was started, instead of starting it."""
    transports: list[str] = []

    def start(loaded: Any, **more: Any) -> int:
        transports.append(loaded.settings.transport)
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dev, "run_everything", start)
    return transports


def test_dev_tells_who_asked_for_kafka_that_it_uses_its_own_log(
    started: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_TRANSPORT", "kafka")
    assert run(["dev"]) == 0
    said = capsys.readouterr().err
    assert "not Kafka" in said
    assert "HEADRACE_TRANSPORT" in said
    assert "headrace start" in said
    assert started == ["embedded"]


def test_dev_says_nothing_to_who_did_not(started: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dev"]) == 0
    assert capsys.readouterr().err == ""
    assert started == ["embedded"]
