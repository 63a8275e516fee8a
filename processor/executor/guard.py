from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from processor.executor.abstract import GuardNotStarted
from processor.executor.runtime import __file__ as runtime_file
from processor.executor.runtime.channel import Channel, Message
from processor.executor.runtime.groups import Groups

ENTRY = str(Path(runtime_file).with_name("__main__.py"))
PET_EVERY_SEC = 1.0
START_SEC = 10.0


class Guard:
    """The executor's handle on its guard process. It dies never before everything below it is gone, unless killed."""

    def __init__(self, *, root: Path, pet_limit_sec: float, groups: Groups, held_fds: Sequence[int]) -> None:
        """held_fds: descriptors of file locks that the guard keeps until no process of a function is left."""
        self._channel, theirs = Channel.pair()
        self._petted_at_sec = 0.0
        command = [sys.executable, "-I", ENTRY, "guard", str(theirs.fileno()), str(root), str(pet_limit_sec)]
        with theirs:
            self._process = subprocess.Popen(
                [*command, *groups.arguments, *map(str, held_fds)],
                pass_fds=[theirs.fileno(), *held_fds],
                env={"PATH": os.defpath},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._channel.fileno()

    def pet(self, now_sec: float) -> None:
        if now_sec - self._petted_at_sec >= PET_EVERY_SEC:
            self._petted_at_sec = now_sec
            self._channel.send({"alive": True})
            self._process.send_signal(signal.SIGCONT)  # a function may have stopped it

    def start_zygote(
        self, number: int, *, folder: str, arguments: list[str], env: Mapping[str, str], descriptors: Sequence[int]
    ) -> bool:
        message: Message = {"zygote": number, "folder": folder, "arguments": arguments, "env": dict(env)}
        return self._channel.send(message, descriptors)

    def receive(self) -> tuple[Message, list[int]] | None:
        return self._channel.receive()

    def end(self, timeout_sec: float) -> bool:
        """Lets it kill everything and end. Blocks; True: it has ended, so nothing is left."""
        self._channel.close()
        return self._ended(timeout_sec)

    def kill(self, timeout_sec: float) -> bool:
        """For a guard that is broken already."""
        self._channel.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        return self._ended(timeout_sec)

    def _ended(self, timeout_sec: float) -> bool:
        give_up_at = time.monotonic() + timeout_sec
        try:
            self._process.wait(max(give_up_at - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            return False
        return True


def not_started(reason: str) -> GuardNotStarted:
    return GuardNotStarted(f"the guard process does not start: {reason}")
