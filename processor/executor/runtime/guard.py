"""The process between an executor and its zygotes. When the executor is dead, stopped or hung it kills them all."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import sys

from . import folders, linux, tree
from .burial import FOLDER_SEC
from .channel import Channel, Message
from .groups import Group, Groups

#: How long one look for orphans may take before the executor's life sign is looked at again.
SWEEP_SEC = 1.0
#: Longest wait: a suspended machine's clock (CLOCK_BOOTTIME) moves on while poll's does not.
LOOK_EVERY_SEC = 1.0


class Guard:
    def __init__(self, *, channel: Channel, root: str, pet_limit_sec: float, groups: Groups) -> None:
        self._channel = channel
        self._root = root
        self._groups = groups
        self._pet_limit_sec = pet_limit_sec
        self._petted_at = linux.boottime()
        #: pid to (number given by the executor, pidfd, its folder, its group and those of its instances)
        self._zygotes: dict[int, tuple[int, int, str, Group]] = {}
        self._removers: set[int] = set()
        self._poller = select.poll()
        self._poller.register(channel.fileno(), select.POLLIN)

    def run(self) -> None:
        """Returns when the executor has gone or gives no life sign."""
        parent = os.path.dirname(self._root)
        self._removers.add(folders.in_child(lambda: folders.remove_abandoned(parent)))
        while (left_sec := self._petted_at + self._pet_limit_sec - linux.boottime()) > 0:
            ready = self._poller.poll(min(left_sec, LOOK_EVERY_SEC) * 1000)
            if any(fd == self._channel.fileno() for fd, _ in ready) and not self._serve():
                return
            self._reap()

    def end_everything(self) -> None:
        swept = ended = False
        while not (swept and ended):
            self._groups.whole.kill()
            swept = tree.sweep((), SWEEP_SEC)
            ended = self._groups.whole.end(SWEEP_SEC)
        folders.remove_now(self._root)

    def _serve(self) -> bool:
        received = self._channel.receive()
        if received is None:
            return False
        self._petted_at = linux.boottime()
        message, descriptors = received
        if "zygote" in message:
            self._start_zygote(message, descriptors)
        return True

    def _start_zygote(self, message: Message, descriptors: list[int]) -> None:
        number = message["zygote"]
        try:
            folders.make_private(message["folder"])
            groups = self._groups.below(f"z{number}")
            pid = self._spawn(message, groups, descriptors)
        except OSError as error:
            self._channel.send({"gone": number, "status": None, "reason": str(error)})
            return
        finally:
            for each in descriptors:
                os.close(each)
        pidfd = os.pidfd_open(pid)
        self._zygotes[pid] = (number, pidfd, message["folder"], groups.whole)
        self._poller.register(pidfd, select.POLLIN)
        self._channel.send({"started": number, "pid": pid}, [pidfd])

    def _spawn(self, message: Message, groups: Groups, descriptors: list[int]) -> int:
        """In a session of its own; descriptors become 3 (channel), 1 and 2."""
        entry = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
        command = [sys.executable, "-I", entry, "zygote", str(os.getpid()), *groups.arguments, *message["arguments"]]
        channel, out, err = (_out_of_the_way(each) for each in descriptors)
        actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)] + [
            (os.POSIX_SPAWN_DUP2, old, new) for old, new in ((out, 1), (err, 2), (channel, 3))
        ]
        try:
            return os.posix_spawn(
                sys.executable,
                command,
                message["env"],
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=signal.valid_signals(),
            )
        finally:
            for each in (channel, out, err):
                os.close(each)

    def _reap(self) -> None:
        """Dead zygotes: their instances died with them (PDEATHSIG), and what those had started became ours."""
        dead = [pid for pid in self._zygotes if _has_ended(pid)]
        for pid in dead:
            _, status = os.waitpid(pid, 0)
            number, pidfd, folder, groups = self._zygotes.pop(pid)
            self._poller.unregister(pidfd)
            os.close(pidfd)
            groups.kill()
            tree.sweep(self._known(), SWEEP_SEC)
            groups.end(SWEEP_SEC)
            remover = folders.remove(folder)
            if remover is not None:
                self._removers.add(remover)
                _wait_for_end(remover, FOLDER_SEC)
            self._channel.send({"gone": number, "status": status})
        self._removers = {pid for pid in self._removers if os.waitpid(pid, os.WNOHANG)[0] == 0}

    def _known(self) -> set[int]:
        return self._zygotes.keys() | self._removers


def _out_of_the_way(descriptor: int) -> int:
    """A copy above those that the new process gets by number, so that no dup2 overwrites another's source."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)


def _wait_for_end(child: int, limit_sec: float) -> None:
    pidfd = os.pidfd_open(child)
    try:
        select.select([pidfd], [], [], limit_sec)
    finally:
        os.close(pidfd)


def _has_ended(pid: int) -> bool:
    """It stays a zombie: its pid is still its own."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def main(arguments: list[str]) -> None:
    channel_fd, root, pet_limit_sec = arguments[:3]
    groups = Groups.from_arguments(arguments[3:6])
    held = arguments[6:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a terminal's or an init system's signal is for the executor
    for each in held:
        os.set_inheritable(int(each), False)  # file locks of the executor: kept until this process ends
    linux.adopt_orphans()
    channel = Channel(socket.socket(fileno=int(channel_fd)))
    os.set_inheritable(channel.fileno(), False)
    guard = Guard(channel=channel, root=root, pet_limit_sec=float(pet_limit_sec), groups=groups)
    channel.send({"guard": os.getpid()})
    guard.run()
    guard.end_everything()
