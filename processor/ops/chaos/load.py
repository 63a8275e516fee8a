"""Callers over HTTP: each event under its own key, repeated under the same key until it is acknowledged, and at times
afterwards too.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import deque
from pathlib import Path

import orjson

from processor.ops.audit.evidence import Answer

ANSWER_SEC = 15.0
RETRY_SEC = 0.3
#: An event that nobody acknowledged for so long after the healing is lost to its sender.
GIVE_UP_SEC = 60.0
#: Of all events.
REPEATED = 0.1
#: Runs of some seconds, all callers together: enough to be in flight at any time, few enough to fit into the slots.
SLOW_PER_SEC = 1.0
_RECENT = 200
#: At higher rates runs are shorter by as much: the slots stay the same.
FULL_LENGTH_PER_SEC = 60.0


class Acknowledgements:
    """Every answer a client got, one JSON object per line, as `headrace audit` reads it. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")
        self._lock = threading.Lock()
        #: RequestId -> when it was first acknowledged, Unix ms.
        self._runs: dict[str, int] = {}

    def add(self, key: str, request_id: str, answer: Answer, why: str = "") -> None:
        """why: of what was not acknowledged; for people."""
        entry = {"key": key, "request_id": request_id, "outcome": answer.value}
        line = orjson.dumps(entry | {"why": why} if why else entry) + b"\n"
        with self._lock:
            self._file.write(line)
            if answer is Answer.OK:
                self._runs.setdefault(request_id, time.time_ns() // 1_000_000)

    def count(self) -> int:
        """Of acknowledged events."""
        with self._lock:
            return len(self._runs)

    def times_ms(self) -> dict[str, int]:
        """RequestId -> when it was first acknowledged, by our own clock."""
        with self._lock:
            return dict(self._runs)

    def close(self) -> None:
        self._file.close()


class Throttle:
    """How fast the callers go; a burst changes it."""

    def __init__(self, per_sec: float) -> None:
        self._per_sec = per_sec
        self.factor = 1.0

    def slow_share(self) -> float:
        return min(SLOW_PER_SEC / (self._per_sec * self.factor), 1.0)

    def length(self) -> float:
        """Of short runs, as a factor."""
        return min(FULL_LENGTH_PER_SEC / self._per_sec, 1.0)

    def pause_sec(self, callers: int) -> float:
        return callers / (self._per_sec * self.factor)


class Caller(threading.Thread):
    """number: of several, which one; begins its keys."""

    def __init__(
        self, number: int, *, callers: int, port: int, throttle: Throttle, seed: int, told: Acknowledgements
    ) -> None:
        super().__init__(name=f"caller {number}", daemon=True)
        self._number, self._callers, self._port = number, callers, port
        self._throttle = throttle
        self._chance = random.Random(f"{seed} {number}")  # noqa: S311  # replayable, not secret
        self._told = told
        self._stopping = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        #: Key, function, body of what was acknowledged lately.
        self._recent: deque[tuple[str, str, bytes]] = deque(maxlen=_RECENT)
        self.given_up = 0

    def run(self) -> None:
        number = 0
        due_sec = time.monotonic()
        while not self._stopping.is_set():
            if self._recent and self._chance.random() < REPEATED:
                self._send(*self._chance.choice(self._recent))
            else:
                number += 1
                self._new(number)
            due_sec = max(due_sec + self._throttle.pause_sec(self._callers), time.monotonic() - 1.0)
            self._stopping.wait(max(due_sec - time.monotonic(), 0.0))
        self._hang_up()

    def stop(self) -> None:
        """Asks; what it is sending is sent to the end."""
        self._stopping.set()

    def _new(self, number: int) -> None:
        # The first one always: it is in flight when the first fault comes.
        slow = number == 1 or self._chance.random() < self._throttle.slow_share()
        short_sec = self._chance.choice((0.0, 0.0, 0.01, 0.05)) * self._throttle.length()
        sec = self._chance.uniform(2.5, 5.0) if slow else short_sec
        body = orjson.dumps({"sec": sec, "lines": self._chance.choice((0, 0, 0, 1, 5))})
        event = (f"caller-{self._number}-{number}", "slow" if slow else "work", body)
        if self._send(*event):
            self._recent.append(event)

    def _send(self, key: str, function: str, body: bytes) -> bool:
        give_up_sec: float | None = None
        while give_up_sec is None or time.monotonic() < give_up_sec:
            if self._try(key, function, body):
                return True
            if self._stopping.is_set() and give_up_sec is None:
                give_up_sec = time.monotonic() + GIVE_UP_SEC
            time.sleep(RETRY_SEC)
        self.given_up += 1
        return False

    def _try(self, key: str, function: str, body: bytes) -> bool:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SEC)
            self._connection.request("POST", f"/v1/functions/{function}/invocations", body, headers)
            response = self._connection.getresponse()
            status, document = response.status, orjson.loads(response.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._hang_up()
            self._told.add(key, "", Answer.UNKNOWN, repr(error))
            return False
        why = "" if status == 202 else f"{status} {document.get('type')} {document.get('detail')}"
        self._told.add(key, str(document.get("request_id") or ""), _answer(status), why)
        return status == 202

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _answer(status: int) -> Answer:
    if status == 202:
        return Answer.OK
    return Answer.REFUSED if 400 <= status < 500 else Answer.UNKNOWN
