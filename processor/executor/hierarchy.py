"""Where on this host groups of processes can be made."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from processor.executor.runtime.groups import PREFIX, Group, Groups, remove_folder, write

#: A manager such as systemd (DelegateSubgroup=) puts the service here, so that its parent can hand on controllers.
SUPERVISOR = "supervisor"
PROBE_SEC = 5.0
_LABEL = "user.headrace.folder"


def create(pool: str, max_processes: int) -> Groups | None:
    """Makes the folder of a pool inside the group of this process. None: that is not possible here."""
    own = _own_group("cgroup2", "")
    if own is None:
        return None
    for base in _bases(own):
        folder = os.path.join(base, PREFIX + pool)
        try:
            os.mkdir(folder)
        except OSError:
            continue
        if os.path.exists(os.path.join(folder, "cgroup.kill")) and _accepts_members(folder):
            _remove_stale(base)
            limit_folder = folder if _hand_on_pids(base, folder) else _v1_folder(pool)
            return Groups(kill_folder=folder, limit_folder=limit_folder, max_processes=max_processes)
        remove_folder(folder)
    return None


def label(groups: Groups, pool_folder: Path) -> None:
    """Says whose they are: once that folder is gone, whoever makes groups here may remove these if they are empty."""
    with contextlib.suppress(OSError):  # not every kernel keeps such labels
        os.setxattr(groups.kill_folder, _LABEL, os.fsencode(pool_folder))


def _remove_stale(base: str) -> None:
    """Nothing is killed here: only empty groups can be removed."""
    for name in os.listdir(base):
        folder = os.path.join(base, name)
        if name.startswith(PREFIX) and not _is_owned(folder):
            pids = _own_group("cgroup", "pids")
            Group(folder, os.path.join(pids, name) if pids else "").remove()


def _is_owned(folder: str) -> bool:
    """Unlabelled ones are just being made."""
    try:
        return os.path.exists(os.getxattr(folder, _LABEL))
    except OSError:
        return True


def _bases(own: str) -> list[str]:
    return [os.path.dirname(own), own] if os.path.basename(own) == SUPERVISOR else [own]


def _accepts_members(folder: str) -> bool:
    """Moving there may be forbidden although the folder can be made; only trying tells."""
    probe = os.path.join(folder, "probe")
    script = 'echo 0 > "$1/cgroup.procs"'
    try:
        os.mkdir(probe)
        tried = subprocess.run(["sh", "-c", script, "sh", probe], timeout=PROBE_SEC, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return False
    finally:
        remove_folder(probe)
    return tried.returncode == 0


def _hand_on_pids(base: str, folder: str) -> bool:
    """Refused where processes live in `base` itself, unless it is the root."""
    try:
        with open(os.path.join(base, "cgroup.subtree_control"), "rb") as file:
            handed_on = b"pids" in file.read().split()
        if not handed_on:
            write(base, "cgroup.subtree_control", "+pids")
        write(folder, "cgroup.subtree_control", "+pids")
    except OSError:
        return False
    return True


def _v1_folder(pool: str) -> str:
    """Of the pids hierarchy of cgroup v1. "": there is none that we may use."""
    own = _own_group("cgroup", "pids")
    if own is None:
        return ""
    folder = os.path.join(own, PREFIX + pool)
    try:
        os.mkdir(folder)
    except OSError:
        return ""
    if _accepts_members(folder):
        return folder
    remove_folder(folder)
    return ""


def _own_group(kind: str, controller: str) -> str | None:
    try:
        members, mounts = (_text(f"/proc/self/{name}") for name in ("cgroup", "mountinfo"))
    except OSError:
        return None
    return own_group(members, mounts, kind, controller)


def own_group(members: str, mounts: str, kind: str, controller: str) -> str | None:
    """The folder of the group this process is in, or None: that hierarchy is not mounted, or shows another part.

    members, mounts: as of /proc/self/cgroup and mountinfo; kind: type of file system; controller: "" for v2.
    """
    path = next((path for names, path in map(_membership, members.splitlines()) if controller in names), None)
    if path is None:
        return None
    for line in mounts.splitlines():
        place, _, system = line.partition(" - ")
        found, _, options = system.split(" ", 2)
        if found == kind and (not controller or controller in options.split(",")):
            root, mount = place.split(" ")[3:5]
            root = root.rstrip("/")
            if path == root or path.startswith(root + "/"):
                return os.path.normpath(mount + path[len(root) :])
    return None


def _membership(line: str) -> tuple[list[str], str]:
    _, controllers, path = line.split(":", 2)
    return controllers.split(","), path


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
