from __future__ import annotations

import contextlib
import os
import signal
import socket


class Ends:
    """The executor's ends of a process below it: one socket, standard output and error, later its pidfd."""

    def __init__(self, kind: socket.SocketKind) -> None:
        """Makes all pairs; ours never block. Raises OSError when there are no descriptors left."""
        self._pidfd = -1
        with contextlib.ExitStack() as undo:
            self.socket, self._their_socket = socket.socketpair(socket.AF_UNIX, kind)
            undo.callback(self.socket.close)
            undo.callback(self._their_socket.close)
            self.stdout, self._their_stdout = os.pipe()
            undo.callback(os.close, self.stdout)
            undo.callback(os.close, self._their_stdout)
            self.stderr, self._their_stderr = os.pipe()
            undo.pop_all()
        self.socket.setblocking(False)
        os.set_blocking(self.stdout, False)
        os.set_blocking(self.stderr, False)

    @property
    def theirs(self) -> tuple[int, int, int]:
        return (self._their_socket.fileno(), self._their_stdout, self._their_stderr)

    @property
    def ours(self) -> tuple[int, int, int]:
        return (self.socket.fileno(), self.stdout, self.stderr)

    def close_theirs(self) -> None:
        """Once they are on their way to the process."""
        self._their_socket.close()
        os.close(self._their_stdout)
        os.close(self._their_stderr)

    def take_pidfd(self, pidfd: int) -> None:
        """Opened by the parent of the process before it could be reaped: it can never mean another one."""
        self._pidfd = pidfd

    def signal(self, number: signal.Signals) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        self.socket.close()
        os.close(self.stdout)
        os.close(self.stderr)
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
