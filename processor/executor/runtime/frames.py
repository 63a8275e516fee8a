"""Frames between executor and instance: 4-byte little-endian length, one byte kind, body."""

from __future__ import annotations

import struct
from typing import NamedTuple

#: Largest result (AWS's figure: 6 MiB and 100 bytes).
MAX_RESULT_BYTES = 6_291_556
#: Longer ones are not frames of ours.
MAX_FRAME_BYTES = MAX_RESULT_BYTES + 64 * 1024

# Executor to instance. Body: JSON head, line feed, the event as it came.
RUN = ord("n")
# Instance to executor.
READY = ord("y")  # empty
NOT_LOADABLE = ord("i")  # JSON failure
LOG = ord("l")  # JSON [level, Unix milliseconds, text]
PROGRESS = ord("p")  # JSON [fraction, text]
RETURNED = ord("r")  # 4 bytes peak memory in KiB, JSON result
RAISED = ord("e")  # JSON failure

_HEAD = struct.Struct("<IB")
HEAD_BYTES = _HEAD.size
PEAK = struct.Struct("<I")


class Frame(NamedTuple):
    kind: int
    body: bytes


class BadFrame(Exception):
    """What arrived is not a frame."""


def encode(kind: int, body: bytes) -> bytes:
    return _HEAD.pack(len(body), kind) + body


class FrameReader:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Raises BadFrame; nothing after that can be understood."""
        if not self._rest and len(data) >= HEAD_BYTES:
            size, kind = _HEAD.unpack_from(data)
            if size + HEAD_BYTES == len(data):  # nearly always: one read, one frame
                return [Frame(kind, data[HEAD_BYTES:])]
        self._rest += data
        return self._cut()

    def _cut(self) -> list[Frame]:
        frames = []
        start = 0
        while len(self._rest) - start >= HEAD_BYTES:
            size, kind = _HEAD.unpack_from(self._rest, start)
            if size > MAX_FRAME_BYTES:
                raise BadFrame(f"a frame of {size} bytes")
            end = start + HEAD_BYTES + size
            if end > len(self._rest):
                break
            frames.append(Frame(kind, bytes(self._rest[start + HEAD_BYTES : end])))
            start = end
        del self._rest[:start]
        return frames
