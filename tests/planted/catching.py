"""Runs tests of the suite in a pytest of their own, with a bug planted or without."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processor.executor.runtime import linux, tree

ROOT = Path(__file__).parents[2]
LIMIT_SEC = 240.0
#: Of pytest: tests have failed; and the line that says for how long they have run.
FAILED = 1
_TOOK = re.compile(r" in (\d+\.\d+)s")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    code: int
    #: What pytest prints.
    text: str

    @property
    def seconds(self) -> float:
        """From the first test to the last, loading of the modules included."""
        return float(_TOOK.findall(self.text)[-1])

    @property
    def reasons(self) -> str:
        """The lines that tell why tests have failed."""
        return "\n".join(line for line in self.text.splitlines() if line.startswith("E "))


def run(tests: Sequence[str], *, plant: str | None, kafka: str | None = None) -> Ran:
    """Blocks. kafka: bootstrap servers for tests that need some."""
    # Without the plugins that these tests do not use, which take longer to load than the tests to run.
    plugins = [each for name in ("no:cacheprovider", "pytest_timeout", "tests.planted.plugin") for each in ("-p", name)]
    command = [sys.executable, "-m", "pytest", "-q", *plugins]
    planted = ["--plant", plant] if plant else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    if kafka is not None:
        environment["HEADRACE_TEST_KAFKA"] = kafka
    with _survivors_killed():
        done = subprocess.run(
            [*command, *planted, *tests],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_SEC,
            check=False,
        )
    return Ran(code=done.returncode, text=done.stdout + done.stderr)


@contextmanager
def _survivors_killed() -> Iterator[None]:
    """A product that kills too little must not leave anything on this machine."""
    adopted_before, known = linux.adopts_orphans(), set(tree.children(os.getpid()))
    linux.adopt_orphans()
    try:
        yield
    finally:
        tree.sweep(known, limit_sec=10.0)
        linux.adopt_orphans(adopted_before)
