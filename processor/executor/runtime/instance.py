"""One warm process: takes an event, calls the handler, answers, and again."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys
import threading
import traceback
from typing import Any, NoReturn

import orjson

from . import failure, frames
from .context import Context, facts_of
from .event import event_for_handler
from .handler import Handler
from .progress import Progress

READ_BYTES = 65_536


class Speaker:
    """The instance's end of the socket; any thread may send."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lock = threading.RLock()
        self._sending = False

    def send(self, kind: int, body: bytes) -> bool:
        """Blocks while the executor does not read. False: a signal handler interrupted another send of this thread,
        whose frame would be torn apart.
        """
        with self._lock:
            if self._sending:
                return False
            self._sending = True
            try:
                self._socket.sendall(frames.encode(kind, body))
            finally:
                self._sending = False
        return True

    def send_log(self, body: bytes) -> bool:
        return self.send(frames.LOG, body)

    def send_progress(self, body: bytes) -> bool:
        return self.send(frames.PROGRESS, body)


class Instance:
    def __init__(self, *, sock: socket.socket, speaker: Speaker, handler: Handler) -> None:
        self._socket = sock
        self._speaker = speaker
        self._handler = handler
        self._facts = facts_of(os.environ)
        self._pid = os.getpid()

    def serve(self) -> NoReturn:
        reader = frames.FrameReader()
        self._speaker.send(frames.READY, b"")
        while data := self._socket.recv(READ_BYTES):
            for frame in reader.feed(data):
                head, _, payload = frame.body.partition(b"\n")
                self._run(orjson.loads(head), payload)
        os._exit(0)  # the executor has gone

    def _run(self, head: dict[str, Any], payload: bytes) -> None:
        kind, body = self._answer(head, payload)
        if os.getpid() != self._pid:
            _end_forked_child(kind, body)
        flush()
        self._speaker.send(kind, body)

    def _answer(self, head: dict[str, Any], payload: bytes) -> tuple[int, bytes]:
        try:
            event = event_for_handler(payload, head["format"])
        except ValueError as error:
            return frames.RAISED, failure.encode("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}")
        progress = Progress(self._speaker.send_progress)
        try:
            return _marshal(self._handler(event, Context(self._facts, head, progress.tell)))
        except SystemExit as leaving:
            progress.finish()
            leave(leaving.code)
        except BaseException as error:
            return frames.RAISED, failure.describe(error)
        finally:
            progress.finish()


def _marshal(result: Any) -> tuple[int, bytes]:
    try:
        document = _to_json(result)
    except TypeError as error:
        return frames.RAISED, failure.encode("Runtime.MarshalError", f"Unable to marshal response: {error}")
    if len(document) > frames.MAX_RESULT_BYTES:
        message = f"Response payload size ({len(document)} bytes) exceeded maximum allowed payload size"
        message += f" ({frames.MAX_RESULT_BYTES} bytes)."
        return frames.RAISED, failure.encode("Function.ResponseSizeTooLarge", message)
    return frames.RETURNED, frames.PEAK.pack(_peak_kib()) + document


def _to_json(result: Any) -> bytes:
    try:
        return orjson.dumps(result)
    except TypeError:
        return orjson.dumps(result, option=orjson.OPT_NON_STR_KEYS)


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def flush() -> None:
    """Also what the function put in the place of the standard streams, or did to them."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(Exception):
            stream.flush()  # type: ignore[union-attr]  # None raises AttributeError, which is suppressed too


def _end_forked_child(kind: int, body: bytes) -> NoReturn:
    """The function forked, and its child came back out of the handler: the answer is its parent's business."""
    if kind == frames.RAISED:
        sys.stderr.write(orjson.loads(body)["stack"])
    flush()
    os._exit(0 if kind == frames.RETURNED else 1)


def leave(code: object) -> NoReturn:
    """Ends the process as sys.exit would, but without waiting for threads, which could take for ever."""
    if code is not None and not isinstance(code, int):
        with contextlib.suppress(Exception):
            sys.stderr.write(f"{code}\n")
    flush()
    os._exit(0 if code is None else code & 0xFF if isinstance(code, int) else 1)


def end_with_traceback() -> NoReturn:
    traceback.print_exc()
    flush()
    os._exit(1)
