"""`headrace rejected ls` against a gateway that looks at some records at a time."""

from __future__ import annotations

from typing import Any

import pytest

from processor.cli import rejected
from processor.cli.errors import Exit

COUNT = 700
SCANNED = 100


class Paged:
    """As the gateway: a page ends where it is full, or where enough records have been looked at."""

    def __init__(self, fitting: set[int]) -> None:
        self.fitting = fitting
        self.asked = 0

    def rejected(self, *, limit: str, cursor: str = str(COUNT), **filters: str) -> dict[str, Any]:
        assert filters == {"function": "thumb nail"}
        self.asked += 1
        found: list[dict[str, Any]] = []
        for number in range(int(cursor) - 1, max(int(cursor) - SCANNED, 0) - 1, -1):
            if number in self.fitting:
                found.append(document(number))
            if len(found) == int(limit):
                break
        return {"rejected": found, "cursor": str(number) if number else None}


def document(number: int) -> dict[str, Any]:
    return {
        "id": f"0-{number}",
        "rejected_at": None,
        "state": "open",
        "origin": "o",
        "size_bytes": 1,
        "reason": "r",
    }


def listed(paged: Paged, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **more: Any) -> list[str]:
    monkeypatch.setattr(rejected, "_client", lambda asking: paged)
    assert rejected.ls(function="thumb nail", **more) == Exit.OK
    return capsys.readouterr().out.splitlines()


def test_rows_far_behind_others_are_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _, *rows = listed(Paged({3, 5}), monkeypatch, capsys)
    assert [row.split()[0] for row in rows] == ["0-5", "0-3"]


def test_a_list_of_nothing_has_looked_at_everything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paged = Paged(set())
    assert len(listed(paged, monkeypatch, capsys)) == 1
    assert paged.asked == COUNT / SCANNED


def test_a_full_list_tells_the_whole_command_that_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paged = Paged({650, 450, 250})
    _, *rows, more = listed(paged, monkeypatch, capsys, limit=2)
    assert [row.split()[0] for row in rows] == ["0-650", "0-450"]
    assert more == "more: headrace rejected ls --function 'thumb nail' --cursor 450"
    _, *rows = listed(paged, monkeypatch, capsys, limit=2, cursor="450")
    assert [row.split()[0] for row in rows] == ["0-250"]
