from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import Sequence
from typing import Any

import orjson

#: Largest message; the kernel's default buffer of a Unix socket is 208 KiB.
MAX_MESSAGE_BYTES = 128 * 1024
_ROOM = socket.CMSG_LEN(8 * array.array("i").itemsize)

Message = dict[str, Any]


class Channel:
    """Messages with descriptors between executor, guard and zygotes: one datagram, one JSON document."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """Our end, which never blocks, and the other's."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        return cls(ours), theirs

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> bool:
        """False: not now (the other side does not read) or never again (it is gone)."""
        try:
            socket.send_fds(self._socket, [orjson.dumps(message)], list(descriptors))
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self) -> tuple[Message, list[int]] | None:
        """None: the other side is gone. Raises BlockingIOError when nothing is there and this end does not block."""
        try:
            # Not socket.recv_fds: before 3.12 it forgets its flags, and every program started later would have these.
            data, ancillary, _, _ = self._socket.recvmsg(MAX_MESSAGE_BYTES, _ROOM, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return None
        descriptors = _descriptors(ancillary)
        try:
            return (dict(orjson.loads(data)), descriptors) if data else None
        except (ValueError, TypeError):
            for each in descriptors:
                os.close(each)
            return {}, []  # stray code wrote to a descriptor that is not its own

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()
