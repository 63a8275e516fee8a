"""The processes of an installation, by name: killed, paused, asked to stop, and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from processor.core.errors import HeadraceError
from processor.ops.processes import Role, descendants

READY_SEC = 90.0
#: A role that was asked to stop finishes what it has; slow handlers take up to 10 s.
STOP_SEC = 40.0
_WATCH_SEC = 0.25
_SAID_CHARS = 200


@dataclass(slots=True)
class Member:
    """One process of ours, over its incarnations."""

    name: str
    arguments: Sequence[str]
    #: The line that says that it serves.
    ready: str
    environment: Mapping[str, str]
    role: RunningRole | None = None
    #: Somebody wants it dead for now.
    held: bool = False
    #: One start or stop at a time.
    lock: threading.RLock = field(default_factory=threading.RLock)


class RunningRole(Role):
    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()


class Host:
    """Blocking calls; faults of different members may run at the same time."""

    def __init__(self, folder: Path) -> None:
        self._logs = folder / "logs"
        self._logs.mkdir()
        self._members: dict[str, Member] = {}
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="service manager", daemon=True)
        self._keeper.start()
        #: What ended although nobody asked it to: name and exit code.
        self.ended_by_themselves: list[str] = []
        self.failed_starts: list[str] = []

    def add(self, member: Member) -> None:
        self._members[member.name] = member

    @property
    def logs(self) -> list[Path]:
        return sorted(self._logs.glob("*.log"))

    def start_all(self) -> None:
        """All at once; raises NotReady."""
        self._each(self.start)

    def start(self, name: str) -> None:
        """Blocks until it serves. Raises NotReady. Nothing starts any more once all were stopped or killed."""
        member = self._members[name]
        with member.lock:
            if self._closing.is_set():
                return
            if member.role is None or not member.role.running:
                member.role = RunningRole(member.arguments, member.environment, self._logs / f"{name}.log")
                member.held = False
                member.role.wait_for(member.ready, READY_SEC)

    def kill(self, name: str) -> None:
        member = self._members[name]
        with member.lock:
            member.held = True
            self._signal(member, signal.SIGKILL)
            if member.role is not None:
                member.role.stop()

    def terminate(self, name: str) -> None:
        """Asks it to stop; returns once it has."""
        member = self._members[name]
        with member.lock:
            member.held = True
            if member.role is not None:
                member.role.stop(STOP_SEC)

    def pause(self, name: str) -> None:
        self._signal(self._members[name], signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self._signal(self._members[name], signal.SIGCONT)

    def resume_all(self) -> None:
        for name in self._members:
            self.resume(name)

    def stop_all(self) -> None:
        """In order, each finishing what it has; and for good."""
        self._closing.set()
        self._keeper.join()
        self._each(self.terminate)

    def kill_all(self) -> None:
        self._closing.set()
        for member in self._members.values():  # before any lock: whoever holds one waits for it to become ready
            self._signal(member, signal.SIGKILL)
        for name in self._members:
            self.kill(name)
        self._keeper.join()

    def guards(self, name: str) -> list[int]:
        return [pid for pid in self._below(name) if "guard" in _command(pid)]

    def zygotes(self, name: str) -> list[int]:
        return self._children(name, self.guards(name))

    def instances(self, name: str) -> list[int]:
        return self._children(name, self.zygotes(name))

    def _children(self, name: str, parents: list[int]) -> list[int]:
        """Guards start zygotes, and instances are forks of zygotes: only their parents tell the two apart."""
        return [pid for pid in self._below(name) if _parent(pid) in parents]

    def _below(self, name: str) -> list[int]:
        role = self._members[name].role
        return descendants(role.pid) if role is not None and role.running else []

    @staticmethod
    def _signal(member: Member, number: signal.Signals) -> None:
        role = member.role
        if role is not None and role.running:
            with contextlib.suppress(ProcessLookupError):
                role.send(number)

    def _each(self, act: Callable[[str], None]) -> None:
        errors: list[HeadraceError] = []

        def guarded(name: str) -> None:
            try:
                act(name)
            except HeadraceError as error:
                errors.append(error)

        threads = [threading.Thread(target=guarded, args=(name,)) for name in self._members]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _keep(self) -> None:
        """As a service manager: what has ended by itself is started again."""
        while not self._closing.wait(_WATCH_SEC):
            for member in list(self._members.values()):
                self._keep_one(member)

    def _keep_one(self, member: Member) -> None:
        role = member.role
        if role is None or role.running or not member.lock.acquire(blocking=False):
            return
        try:
            if member.held or member.role is not role:
                return
            said = _last_words(self._logs / f"{member.name}.log")
            self.ended_by_themselves.append(f"{member.name} exit {role.exit_code} after {role.age_sec:.0f} s: {said}")
            role.stop()
            self._start_again(member)
        finally:
            member.lock.release()

    def _start_again(self, member: Member) -> None:
        try:
            self.start(member.name)
        except HeadraceError as error:  # tried again at the next look
            self.failed_starts.append(f"{member.name}: {error}")


def _last_words(log: Path) -> str:
    """Why it has ended, by its own account."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    told = [line for line in lines if line.startswith("headrace: ")] or lines
    return told[-1][:_SAID_CHARS] if told else ""


def kill_process(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _parent(pid: int) -> int:
    """0: it has gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0
