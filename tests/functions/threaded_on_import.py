"""A module that starts a thread while it is imported, as many client libraries do."""

from __future__ import annotations

import os
import queue
import threading
from typing import Any

import_pid = os.getpid()
_work: queue.Queue[tuple[int, queue.Queue[int]]] = queue.Queue()


def _double() -> None:
    while True:
        number, answer = _work.get()
        answer.put(number * 2)


threading.Thread(target=_double, daemon=True).start()
print("thread started")


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Works only where the thread lives."""
    answer: queue.Queue[int] = queue.Queue()
    _work.put((event["n"], answer))
    return {"doubled": answer.get(timeout=5), "imported_here": import_pid == os.getpid()}
