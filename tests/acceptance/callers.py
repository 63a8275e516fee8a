"""Callers and evidence that the product did not write."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson

from processor.core.clock import SystemClock
from processor.core.ledger import Ended, decode
from processor.core.topics import RUNS
from processor.transport.abstract import Transport
from processor.transport.replay import read_to_end
from tests.acceptance.http_api import Answer, ask


class Caller(threading.Thread):
    """Sends events with their own keys until told to stop; repeats what was not acknowledged under the same key, which
    is what the 503 asks for. Keeps the list of acknowledgements.
    """

    def __init__(
        self, port: Callable[[], int], function: str, *, per_sec: float, data: object, name: str = "event"
    ) -> None:
        """port: asked before each request. name: begins every key."""
        super().__init__(daemon=True)
        self._port = port
        self._path = f"/v1/functions/{function}/invocations"
        self._pause_sec = 1 / per_sec
        self._body = orjson.dumps(data)
        self._key = name
        self._done = threading.Event()
        #: key -> RequestId
        self.acknowledged: dict[str, str] = {}
        #: Every answer but 202. No answer at all (the gateway is away) is not among them.
        self.refusals: list[Answer] = []
        self._unanswered: list[str] = []

    def run(self) -> None:
        number = 0
        while not self._done.wait(self._pause_sec):
            self._send(f"{self._key} {number}")
            number += 1

    def stop(self) -> set[str]:
        """Returns the acknowledged RequestIds."""
        self._done.set()
        self.join(70)
        assert not self.is_alive()
        runs = set(self.acknowledged.values())
        assert len(runs) == len(self.acknowledged), "two events share a RequestId"
        return runs

    def write_down(self, path: Path) -> Path:
        """Every answer, as `headrace audit --acknowledgements` reads it."""
        entries = [{"key": key, "outcome": "unknown"} for key in self._unanswered]
        entries += [{"key": key, "request_id": run, "outcome": "ok"} for key, run in self.acknowledged.items()]
        path.write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in entries))
        return path

    def _send(self, key: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            run = self._try(key)
            if run is not None:
                self.acknowledged[key] = run
                return
            time.sleep(0.2)

    def _try(self, key: str) -> str | None:
        try:
            answer = ask(self._port(), "POST", self._path, self._body, headers={"idempotency_key": key}, timeout_sec=15)
        except (OSError, http.client.HTTPException):
            self._unanswered.append(key)
            return None
        if answer.status == 202:
            return str(answer.document["request_id"])
        self.refusals.append(answer)
        return None


def verdicts(transport: Transport) -> dict[str, list[Ended]]:
    """Every `ended` of every run in log order, straight from the ledger topic."""
    found: dict[str, list[Ended]] = {}
    reader = transport.reader()
    try:
        partitions = reader.partitions(RUNS.name, 10)
        for record in read_to_end(reader, partitions, SystemClock(), timeout_sec=30):
            entry = decode(record.value)
            if isinstance(entry, Ended):
                found.setdefault(entry.request_id, []).append(entry)
    finally:
        reader.close()
    return found


def starts(journal: Path) -> Counter[str]:
    """How often each run has begun, by the lines that the handler of tests/functions/journal.py wrote."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return Counter(line.split(" ")[0] for line in lines if line.endswith(" start"))
