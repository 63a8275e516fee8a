"""`python -m tests.planted [--all] [--write] [BUG...]` plants each bug, and says which test caught it and how fast.

--all: the slow tests too. --write: docs/planted-bugs.md, of all of them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.planted.catalogue import BROKEN, PLANTS, Catcher, Plant
from tests.planted.catching import FAILED, run

PAGE = Path(__file__).parents[2] / "docs" / "planted-bugs.md"
_HEAD = """# Planted bugs

Bugs that the suite has to notice. None of them is in the product: each is a small patch of tests/planted/bugs, put over
the product's own functions in the process of one test run and in the processes which that starts. `make test` plants
each one and demands that a test of the suite fails, and why; without the bug the same test passes. What took more than
ten seconds is part of `make test-all`. The ids are those of [guarantees.md](guarantees.md) and of `headrace audit`; I7
and what is left running are seen by tests alone. Seconds are those of the test run in which the bug was caught, on two
cores. Written by `python -m tests.planted --all --write`.

| bug | what is wrong | caught by | broken | seconds |
|---|---|---|---|---|
"""


def main(arguments: Sequence[str]) -> int:
    names = [each for each in arguments if not each.startswith("--")]
    rows, missed = [], 0
    for plant, catcher in chosen(names, slow="--all" in arguments):
        seconds = caught_in_sec(plant, catcher)
        missed += seconds is None
        rows.append(row(plant, catcher, "NOT CAUGHT" if seconds is None else f"{seconds:.1f}"))
        print(rows[-1], flush=True)  # noqa: T201  # a command prints
    if "--write" in arguments:
        PAGE.write_text(_HEAD + "\n".join(rows) + "\n")
    return int(missed > 0)


def chosen(names: Sequence[str], *, slow: bool) -> Iterator[tuple[Plant, Catcher]]:
    for plant in PLANTS:
        for catcher in plant.catchers:
            if (slow or not catcher.slow) and (not names or plant.name in names):
                yield plant, catcher


def caught_in_sec(plant: Plant, catcher: Catcher) -> float | None:
    """Blocks. None: nothing failed, or not for the right reason."""
    ran = run([catcher.test], plant=plant.name)
    return ran.seconds if ran.code == FAILED and re.search(catcher.says, ran.reasons) else None


def row(plant: Plant, catcher: Catcher, seconds: str) -> str:
    file, _, test = catcher.test.partition("::")
    sentence = test.removeprefix("test_").replace("_", " ")
    broken = f"{plant.invariant}: {BROKEN[plant.invariant]}"
    return f"| {plant.name} | {plant.bug} | {sentence} ({file}) | {broken} | {seconds} |"


def without_seconds(page: str) -> list[str]:
    return [line.rpartition("|")[0].rpartition("|")[0] for line in page.splitlines() if line.startswith("| ")]


def rows_wanted(pairs: Iterable[tuple[Plant, Catcher]]) -> list[str]:
    return without_seconds("\n".join(row(plant, catcher, "0") for plant, catcher in pairs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
