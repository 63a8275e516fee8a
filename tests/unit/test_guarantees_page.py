"""docs/guarantees.md says which test holds each promise: that has to exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text()
PROMISES, HELD = (PAGE.split(heading, 1)[1].split("\n## ", 1)[0] for heading in ("# What", "## Which test"))


def numbers(section: str) -> list[str]:
    return re.findall(r"^\| (\d+) \|", section, re.MULTILINE)


def test_every_test_that_the_page_names_exists() -> None:
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert set(re.findall(r"`(test_\w+)`", PAGE)) - defined == set()


def test_every_promise_is_held_by_a_test_of_its_rules_and_one_of_the_whole_system() -> None:
    assert numbers(HELD) == numbers(PROMISES) == [str(number) for number in range(1, 9)]
    rows = [line.split(" | ") for line in HELD.splitlines() if re.match(r"\| \d", line)]
    assert [row[0] for row in rows if "`test_" not in row[1] or "`test_" not in row[2]] == []
