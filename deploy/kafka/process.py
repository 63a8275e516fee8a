"""Processes that cannot outlive the process that started them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path

WRAPPER = Path(__file__).resolve().with_name("die_with_parent.py")
START_LIMIT_SEC = 60.0  # one fork and exec; the rest is for a busy machine


def dying(command: Iterable[str]) -> list[str]:
    """The command, changed so that it is killed when the thread that starts it ends."""
    return [sys.executable, "-I", "-S", str(WRAPPER), str(os.getpid()), *command]


class TiedProcess:
    """A process that dies with this one, even when this one is SIGKILLed.

    The kernel ties it to the *thread* that started it: started from a pool's or a test's short-lived thread it would
    be killed when that thread ends. So a thread of its own starts it and waits for it.
    """

    def __init__(self, command: Sequence[str], *, cwd: Path, output: Path) -> None:
        self._command, self._cwd, self._output = dying(command), cwd, output
        self._started: Future[subprocess.Popen[bytes]] = Future()
        threading.Thread(target=self._keep, name=f"keeper of {cwd.name}", daemon=True).start()
        self.popen = self._started.result(timeout=START_LIMIT_SEC)

    def _keep(self) -> None:
        try:
            with self._output.open("ab") as output:
                popen = subprocess.Popen(
                    self._command,
                    cwd=self._cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C goes to the launcher alone, which stops nodes in order
                )
        except OSError as error:
            self._started.set_exception(error)
            return
        self._started.set_result(popen)
        popen.wait()
