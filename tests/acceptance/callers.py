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


class Caller(threading.Thread):
    """Sends events with their own keys until told to stop; repeats what was not acknowledged under the same key, which
    is what the 503 asks for. Keeps the list of acknowledgements.
    """

    def __init__(self, port: Callable[[], int], function: str, *, per_sec: float, data: object) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._path = f"/v1/functions/{function}/invocations"
        self._pause_sec = 1 / per_sec
        self._body = orjson.dumps(data)
        self._done = threading.Event()
        #: key -> RequestId
        self.acknowledged: dict[str, str] = {}
        self.refused = 0

    def run(self) -> None:
        number = 0
        while not self._done.wait(self._pause_sec):
            self._send(f"event {number}")
            number += 1

    def stop(self) -> set[str]:
        """Returns the acknowledged RequestIds."""
        self._done.set()
        self.join(70)
        assert not self.is_alive()
        runs = set(self.acknowledged.values())
        assert len(runs) == len(self.acknowledged), "two events share a RequestId"
        return runs

    def _send(self, key: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            run = self._try(key)
            if run is not None:
                self.acknowledged[key] = run
                return
            self.refused += 1
            time.sleep(0.2)

    def _try(self, key: str) -> str | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=15)
        try:
            connection.request("POST", self._path, self._body, {"Idempotency-Key": key})
            response = connection.getresponse()
            answer = response.read()
            return str(orjson.loads(answer)["request_id"]) if response.status == 202 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


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
