from __future__ import annotations

import os
import signal
import socket

from processor.core.clock import Clock
from processor.core.run import RunError
from processor.executor.capture import Capture
from processor.executor.ends import Ends
from processor.executor.runtime.channel import Channel, Message

READ_BYTES = 65_536
#: What a module says on import is kept up to this, for the first run's log.
MAX_INIT_LINES = 1_000


class Zygote:
    """The executor's handle on the zygote of one function version."""

    def __init__(self, *, number: int, folder: str, clock: Clock, init_limit_at_sec: float) -> None:
        """Makes the descriptors. Raises OSError when there are none left."""
        self.number = number
        self.folder = folder
        self.ready = False
        self.pid = 0
        self.init_limit_at_sec = init_limit_at_sec
        self.timed_out = False
        #: Killed because nobody needed it.
        self.retired = False
        #: Why the module cannot be imported.
        self.failure: RunError | None = None
        self.output = Capture()
        self._clock = clock
        self.ends = Ends(socket.SOCK_SEQPACKET)
        self.channel = Channel(self.ends.socket)

    def started(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.ends.take_pidfd(pidfd)

    def fork(self, number: int, descriptors: tuple[int, int, int]) -> bool:
        """Asks for an instance. False: it takes no message at the moment."""
        message: Message = {"fork": number, "folder": f"{self.folder}/{number}"}
        return self.channel.send(message, descriptors)

    def kill(self) -> None:
        """Its instances die with it; the guard reports it gone when nothing of them is left."""
        self.ends.signal(signal.SIGKILL)

    def wake(self) -> None:
        """A function may have stopped it."""
        self.ends.signal(signal.SIGCONT)

    def on_stdout(self) -> bool:
        """False: it is closed."""
        return self._read(self.ends.stdout, "stdout")

    def on_stderr(self) -> bool:
        return self._read(self.ends.stderr, "stderr")

    def _read(self, pipe: int, stream: str) -> bool:
        try:
            data = os.read(pipe, READ_BYTES)
        except BlockingIOError:
            return True
        if data and self.output.count < MAX_INIT_LINES:
            self.output.feed(stream, data, self._clock.unix_ms())
        return bool(data)
