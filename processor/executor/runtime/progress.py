"""`context.progress` inside an instance: what the handler says of itself, passed on now and then."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable

import orjson

from . import linux

#: A loop may call it a million times a second; nobody can look at more than this.
EVERY_SEC = 0.5
MAX_MESSAGE_CHARS = 500

#: Sends one frame; False when that cannot be done now.
Send = Callable[[bytes], bool]


class Progress:
    """Of one run. Any of its threads may tell; a process that the function forked says nothing: the socket is not its.

    At most one is sent in EVERY_SEC, at once if that is possible. One that has to wait is sent when the time has come,
    or at the end of the run; in its place the last one that was told since.
    """

    def __init__(self, send: Send, clock: Callable[[], float] = linux.boottime) -> None:
        self._send = send
        self._clock = clock
        self._pid = os.getpid()
        # Reentrant: a signal handler of the function may tell while the thread it interrupts is telling.
        self._lock = threading.RLock()
        self._waiting: bytes | None = None
        self._next_sec = 0.0
        self._timer: threading.Timer | None = None
        self._finished = False

    def tell(self, fraction: float, message: object = "") -> None:
        """fraction: from 0 to 1; what is outside is taken for the nearer end. message: cut after MAX_MESSAGE_CHARS.
        Raises TypeError when fraction is no number.
        """
        body = orjson.dumps([share_of(fraction), _one_line(message)])
        if os.getpid() != self._pid:
            return
        with self._lock:
            if not self._finished:
                self._waiting = body
                self._send_or_wait()

    def finish(self) -> None:
        """Sends what waits; later calls, of threads that outlive the run, tell nothing."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._finished = True
            if self._timer is not None:
                self._timer.cancel()
            self._send_waiting()

    def _send_or_wait(self) -> None:
        left_sec = self._next_sec - self._clock()
        if left_sec <= 0:
            self._send_waiting()
        elif self._timer is None:
            self._timer = threading.Timer(left_sec, self._when_due)
            self._timer.daemon = True
            with contextlib.suppress(RuntimeError):  # no more threads: the next call or the end sends it
                self._timer.start()

    def _when_due(self) -> None:
        with self._lock:
            self._timer = None
            self._send_waiting()

    def _send_waiting(self) -> None:
        if self._waiting is None:
            return
        with contextlib.suppress(OSError):  # the executor has gone, and nothing of this run will be told any more
            if self._send(self._waiting):
                self._waiting = None
                self._next_sec = self._clock() + EVERY_SEC


def share_of(fraction: object) -> float:
    """Raises TypeError."""
    # Text that looks like a number is a mistake as much as any other text.
    if isinstance(fraction, str | bytes | bytearray):
        raise TypeError(f"progress: the fraction is a number from 0 to 1, not {type(fraction).__name__}")
    try:
        share = float(fraction)  # type: ignore[arg-type]  # whatever it is, float() says so itself
    except OverflowError:
        return 1.0
    except TypeError:
        raise TypeError(f"progress: the fraction is a number from 0 to 1, not {type(fraction).__name__}") from None
    return min(share, 1.0) if share > 0 else 0.0  # also for nan: nothing done of nothing to do


def _one_line(message: object) -> str:
    text = "" if message is None else str(message)
    clean = text[: 2 * MAX_MESSAGE_CHARS].encode("utf-8", "backslashreplace").decode()
    line = " ".join(clean.split())
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"
