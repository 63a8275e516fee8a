from __future__ import annotations

import os
import socket
from enum import Enum
from typing import Protocol

from processor.core.clock import Clock
from processor.core.failpoints import failpoint
from processor.executor.abstract import RunInput
from processor.executor.capture import Capture
from processor.executor.crew import Crew
from processor.executor.deadline import EndPolicy, Ladder
from processor.executor.ends import Ends
from processor.executor.frames import read_log
from processor.executor.runtime.frames import BadFrame, Frame, FrameReader
from processor.executor.verdict import Verdict

READ_BYTES = 65_536
#: Of one descriptor in one turn: a flood of one run delays the others by well under a millisecond.
READS_PER_TURN = 4
#: Between two runs without looking at the pipes again, which were read to their end after the first.
FOLLOWS_AT_ONCE_SEC = 0.001
#: A pipe holds at most this much (the kernel's limit for a pipe that its user enlarged).
MAX_PIPE_BYTES = 1024 * 1024


class State(Enum):
    STARTING = "starting"  # asked for, not ready
    IDLE = "idle"
    RUNNING = "running"  # has a run
    ENDING = "ending"  # will be gone; may still have the run whose verdict waits for that


class Run:
    """One open `start_run`."""

    __slots__ = ("cold_start", "crew", "given", "started_at_ms", "started_at_sec", "told_lines", "verdict")

    def __init__(self, crew: Crew, given: RunInput) -> None:
        self.crew = crew
        self.given = given
        self.cold_start = False
        self.started_at_sec: float | None = None
        self.started_at_ms: int | None = None
        #: Lines it got without an instance: what its module said before it failed to load.
        self.told_lines = 0
        #: Set once, by whatever came first; published when the instance is free or gone.
        self.verdict: Verdict | None = None


class Owner(Protocol):
    def on_frame(self, instance: Instance, frame: Frame) -> None: ...

    def on_lines(self, instance: Instance) -> None:
        """Enough for a batch."""

    def on_silence(self, instance: Instance, reason: str) -> None:
        """Nothing can come from its socket any more. Called once. reason: "" when it is just closed."""

    def watch_for_room(self, instance: Instance, wanted: bool) -> None: ...

    def unwatch(self, descriptor: int) -> None:
        """It is at its end and would wake the loop for ever."""


class Instance:
    """The executor's ends of one instance: its socket, its two pipes and its pidfd."""

    def __init__(self, *, number: int, crew: Crew, owner: Owner, clock: Clock, policy: EndPolicy) -> None:
        """Makes the descriptors. Raises OSError when there are none left."""
        self.number = number
        self.crew = crew
        self.state = State.STARTING
        self.run: Run | None = None
        self.runs = 0
        #: It may say so before its zygote has told its pid.
        self.says_ready = False
        self.pid = 0
        self.name = ""
        self.ladder = Ladder(policy)
        self.idle_since_sec = 0.0
        self.peak_mb: float | None = None
        self.capture = Capture()
        #: Read while it had no run.
        self.late_bytes = 0
        self._owner = owner
        self._clock = clock
        self._reader = FrameReader()
        self._unsent = memoryview(b"")
        self._silent = False
        self.ends = Ends(socket.SOCK_STREAM)

    def born(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.ends.take_pidfd(pidfd)
        self.name = f"{self.crew.code.name}@{self.crew.code.version[:8]}#{pid}"

    def hand(self, run: Run, frame: bytes, idle_for_sec: float) -> bool:
        """Writes the event; what does not fit into the socket follows when there is room.

        False: the instance has just died, nothing was written, so the run has not begun.
        """
        if self.runs:
            if idle_for_sec > FOLLOWS_AT_ONCE_SEC:
                self.drain()  # what its threads have said since the last run belongs to nobody
            self.capture = Capture()
        failpoint("instance.event.before")
        sent = self._send(frame)
        failpoint("instance.event.after")
        if sent is None:
            return False
        self.runs += 1
        self.run = run
        self.state = State.RUNNING
        if sent < len(frame):
            self._unsent = memoryview(frame)[sent:]
            self._owner.watch_for_room(self, True)
        return True

    def on_socket(self) -> None:
        if self._unsent:
            self._send_rest()
        for _ in range(READS_PER_TURN):
            if self._read_socket() < READ_BYTES:
                return

    def read_all_frames(self) -> None:
        """For a dead instance: whatever it had sent."""
        while self._read_socket() > 0:
            pass

    def on_stdout(self) -> None:
        self._read_pipe(self.ends.stdout, "stdout", READS_PER_TURN)

    def on_stderr(self) -> None:
        self._read_pipe(self.ends.stderr, "stderr", READS_PER_TURN)

    def log(self, body: bytes) -> bool:
        """body: of a frame LOG. True: enough for a batch. Raises BadFrame."""
        level, at_ms, text = read_log(body)
        if self.run is None and self.state is not State.STARTING:
            self.late_bytes += len(body)
            return False
        return self.capture.add("logging", level, at_ms, text)

    def drain(self) -> None:
        """All that is in the pipes now, never waiting for their end: others may hold the other side."""
        self._read_pipe(self.ends.stdout, "stdout", MAX_PIPE_BYTES // READ_BYTES)
        self._read_pipe(self.ends.stderr, "stderr", MAX_PIPE_BYTES // READ_BYTES)

    def _send(self, data: bytes | memoryview) -> int | None:
        """None: it is dead, which its zygote will report."""
        try:
            return self.ends.socket.send(data)
        except BlockingIOError:
            return 0
        except (BrokenPipeError, ConnectionResetError):
            return None

    def _send_rest(self) -> None:
        sent = self._send(self._unsent)
        self._unsent = memoryview(b"") if sent is None else self._unsent[sent:]
        if not self._unsent:
            self._owner.watch_for_room(self, False)

    def _read_socket(self) -> int:
        try:
            data = self.ends.socket.recv(READ_BYTES)
        except BlockingIOError:
            return 0
        except ConnectionResetError:
            data = b""
        if not data:
            self._say_silent("")
            return 0
        try:
            for frame in self._reader.feed(data):
                self._owner.on_frame(self, frame)
        except BadFrame as error:
            self._say_silent(f"the function wrote to the descriptor of its instance: {error}")
            return 0
        return len(data)

    def _say_silent(self, reason: str) -> None:
        if not self._silent:
            self._silent = True
            self._owner.unwatch(self.ends.socket.fileno())
            self._owner.on_silence(self, reason)

    def _read_pipe(self, pipe: int, stream: str, reads: int) -> None:
        for _ in range(reads):
            try:
                data = os.read(pipe, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._owner.unwatch(pipe)
                return
            self._said(stream, data)
            if len(data) < READ_BYTES:
                return

    def _said(self, stream: str, data: bytes) -> None:
        if self.run is None and self.state is not State.STARTING:
            self.late_bytes += len(data)
        elif self.capture.feed(stream, data, self._clock.unix_ms()):
            self._owner.on_lines(self)
