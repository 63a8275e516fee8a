"""Control groups: the kernel's own list of what belongs to an instance, and its limit of processes.

A group is a folder of cgroup v2, whose `cgroup.kill` reaches everything in it, whatever it forks meanwhile. Where v2
has no pids controller (hybrid set-ups) the limit comes from a folder of the same name in the v1 hierarchy.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass

PREFIX = "headrace-"
#: In the folder of a pool: its groups' folders, for the guard that finds the folder abandoned.
RECORD = "groups"
_LOOK_EVERY_SEC = 0.0005


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """A folder that holds groups: that of a pool its zygotes', that of a zygote its own and its instances'.

    Empty paths: there is no such thing here.
    """

    kill_folder: str = ""
    limit_folder: str = ""
    #: Tasks, that is processes and their threads, in one group.
    max_processes: int = 0

    @property
    def arguments(self) -> list[str]:
        return [self.kill_folder, self.limit_folder, str(self.max_processes)]

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> Groups:
        kill_folder, limit_folder, max_processes = arguments
        return cls(kill_folder=kill_folder, limit_folder=limit_folder, max_processes=int(max_processes))

    def below(self, name: str) -> Groups:
        """Makes a folder for more groups. Raises OSError."""
        inner = Groups(
            kill_folder=_join(self.kill_folder, name),
            limit_folder=_join(self.limit_folder, name),
            max_processes=self.max_processes,
        )
        _make(inner.whole)
        if inner.limit_folder and inner.limit_folder == inner.kill_folder:
            write(inner.limit_folder, "cgroup.subtree_control", "+pids")
        return inner

    def make(self, name: str) -> Group:
        """Raises OSError."""
        group = Group(_join(self.kill_folder, name), _join(self.limit_folder, name))
        _make(group)
        if group.limit_folder:
            write(group.limit_folder, "pids.max", str(self.max_processes))
        return group

    @property
    def whole(self) -> Group:
        return Group(self.kill_folder, self.limit_folder)


@dataclass(frozen=True, slots=True)
class Group:
    kill_folder: str = ""
    limit_folder: str = ""

    @property
    def folders(self) -> list[str]:
        return [each for each in dict.fromkeys((self.kill_folder, self.limit_folder)) if each]

    def join(self) -> None:
        """This process moves into it; what it starts will be there too. Takes the kernel some 8 ms. Raises OSError."""
        for folder in self.folders:
            write(folder, "cgroup.procs", "0")

    def kill(self) -> None:
        """SIGKILL to all processes in it and in groups below it, new ones included."""
        if self.kill_folder:
            with contextlib.suppress(OSError):
                write(self.kill_folder, "cgroup.kill", "1")

    def is_empty(self) -> bool:
        """Zombies do not count."""
        if not self.kill_folder:
            return True
        try:
            with open(os.path.join(self.kill_folder, "cgroup.events"), "rb") as file:
                return b"populated 0" in file.read()
        except OSError:
            return True  # it has been removed

    def end(self, limit_sec: float) -> bool:
        """Kills, waits for the last one to be dead and removes. Blocks. False: some process does not die."""
        give_up_at = time.monotonic() + limit_sec
        while not self.is_empty():
            self.kill()
            if time.monotonic() > give_up_at:
                return False
            time.sleep(_LOOK_EVERY_SEC)
        return self.remove()

    def remove(self) -> bool:
        """False: something is in it, or its last process is not reaped yet."""
        gone = [remove_folder(each) for each in self.folders]
        return all(gone)


def record(groups: Groups, pool_folder: str) -> None:
    with open(os.path.join(pool_folder, RECORD), "w", encoding="utf-8") as file:
        file.write("\n".join(groups.arguments))


def recorded(pool_folder: str) -> Group:
    """The groups of the pool that had this folder; an empty one when it had none or the record cannot be trusted."""
    try:
        with open(os.path.join(pool_folder, RECORD), encoding="utf-8") as file:
            groups = Groups.from_arguments(file.read().split("\n"))
    except (OSError, ValueError):
        return Group()
    wanted = PREFIX + os.path.basename(pool_folder)
    if any(os.path.basename(each) != wanted for each in groups.whole.folders):
        return Group()
    return groups.whole


def _join(folder: str, name: str) -> str:
    return os.path.join(folder, name) if folder else ""


def _make(group: Group) -> None:
    for folder in group.folders:
        os.makedirs(folder, exist_ok=True)


def write(folder: str, name: str, text: str) -> None:
    descriptor = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def remove_folder(folder: str) -> bool:
    """With the groups that a function has made inside."""
    found = [folder]
    for each in found:
        with contextlib.suppress(OSError), os.scandir(each) as entries:
            found.extend(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    for each in reversed(found):
        with contextlib.suppress(OSError):
            os.rmdir(each)
    return not os.path.exists(folder)
