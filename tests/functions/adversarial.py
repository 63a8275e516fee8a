"""A handler that leaves behind whatever it can.

Event: {"trick": NAME, "witness": FILE, "precious": FOLDER, "then": "raise" | "exit" | "hang" | "return"}.

Every process holds the witness file open, whatever it does to its name, parent, session, group and environment: so
survivors can be found without believing the product.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

#: <linux/prctl.h>, <linux/sched.h>, <asm/unistd_64.h>
PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 15, 36
CLONE_PARENT = 0x8000
SYS_CLONE = 56
FS_IOC_SETFLAGS, FS_IMMUTABLE = 0x40086602, 0x10
MS_BIND = 0x1000
DEPTH = 1_500
LIBC = ctypes.CDLL(None)


def sleeps() -> NoReturn:
    while True:
        time.sleep(1_000)


def fork(work: Callable[[], object]) -> int:
    """A child that does this and sleeps for ever."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            work()
        sleeps()
    return pid


def nothing() -> None:
    return


def orphan(work: Callable[[], object] = nothing) -> None:
    """A daemon: a child of a child that has ended, in a session of its own, with standard output open."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fork(work)
        os._exit(0)
    os.waitpid(pid, 0)


def become_a_stranger() -> None:
    """Another program with another name, no environment and its own session; only the witness stays open."""
    os.setsid()
    os.execve("/bin/sleep", ["[kworker/0:1]", "1000"], {})


def deaf() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_IGN)


def runs_away() -> NoReturn:
    """Is never the same process for longer than a fork takes."""
    while True:
        with contextlib.suppress(OSError):
            if os.fork():
                os._exit(0)
            os.setsid()


def bomb() -> NoReturn:
    while True:
        with contextlib.suppress(OSError):
            os.fork()


def note(**facts: object) -> None:
    """For the test."""
    with open(os.environ["WITNESS"], "a", encoding="utf-8") as file:
        file.write(json.dumps(facts) + "\n")


def end(then: str) -> str:
    print("done", flush=True)
    if then == "raise":
        raise ValueError
    if then == "exit":
        os._exit(3)
    if then == "hang":
        sleeps()
    return "done"


# Processes.


def a_stopped_child() -> None:
    pid = fork(lambda: os.kill(os.getpid(), signal.SIGSTOP))
    os.waitpid(pid, os.WUNTRACED)


def a_deep_chain() -> None:
    """Of processes, each the child of the one before."""
    for _ in range(200):
        if os.fork():
            return
    deaf()


def a_crowd_of_runaways() -> None:
    for _ in range(4):
        with contextlib.suppress(OSError):  # the first ones may have used up the processes there may be
            orphan(runs_away)


def a_fork_bomb() -> None:
    orphan(bomb)


def an_escape_from_the_sweep() -> None:
    """A daemon that leaves a new daemon behind as soon as the instance is dead, and again when that one's parent is."""

    def watch() -> None:
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.0001)
        orphan(runs_away)

    for _ in range(8):
        orphan(watch)


def no_adoption() -> None:
    """Orphans pass the instance by."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    orphan()


def adoption_by_another() -> None:
    def adopt() -> None:
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        orphan(deaf)

    fork(adopt)
    orphan(adopt)


def a_sibling() -> None:
    """A child of the zygote."""
    if LIBC.syscall(SYS_CLONE, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        become_a_stranger()


def a_pid_namespace() -> None:
    """Where that is allowed."""
    command = ["unshare", "--fork", "--pid", "sh", "-c", "sleep 1000 & sleep 1000"]
    with contextlib.suppress(OSError):
        subprocess.Popen(command, close_fds=False, stderr=subprocess.DEVNULL)


def deaf_in_c() -> None:
    """The only thread is in C with all signals blocked, holding the interpreter's lock."""
    print("done", flush=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.PyDLL(None).pause()


def threads_in_c() -> None:
    for _ in range(10):
        threading.Thread(target=LIBC.pause).start()
    threading.Thread(target=orphan).start()


# Those above the instance.


def _guard() -> int:
    stat = Path(f"/proc/{os.getppid()}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def kills_its_zygote() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
    orphan(deaf)
    orphan(become_a_stranger)
    os.kill(os.getppid(), signal.SIGKILL)
    sleeps()


def kills_its_guard() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
    orphan(deaf)
    orphan(become_a_stranger)
    os.kill(_guard(), signal.SIGKILL)
    sleeps()


def stops_its_zygote() -> None:
    orphan(deaf)
    os.kill(os.getppid(), signal.SIGSTOP)


def stops_its_guard() -> None:
    orphan(deaf)
    os.kill(_guard(), signal.SIGSTOP)


def signals_its_group() -> None:
    """And what is not in it any more stays."""
    orphan(become_a_stranger)
    os.killpg(0, signal.SIGKILL)


# Control groups.


def _group() -> Path | None:
    """Its own, where there are such things."""
    path = Path("/proc/self/cgroup").read_text().rpartition("0::")[2].splitlines()[0]
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    found = [Path(mount[1] + path) for mount in mounts if mount[2] == "cgroup2"]
    return found[0] if found and "headrace-" in path else None


def leaves_its_group() -> None:
    group = _group()

    def leave() -> None:
        if group is not None:
            (group.parents[2] / "cgroup.procs").write_text("0")

    fork(leave)
    orphan(leave)


def makes_inner_groups() -> None:
    group = _group()

    def enter() -> None:
        if group is not None:
            inner = group / "a" / "b"
            inner.mkdir(parents=True)
            (inner / "cgroup.procs").write_text("0")

    fork(enter)


# Things.


def an_open_port() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    server.set_inheritable(True)
    note(port=server.getsockname()[1])
    orphan(become_a_stranger)


def a_deep_folder() -> None:
    """Deeper than a path may be long, and than Python may call itself."""
    os.chdir(os.environ["TMPDIR"])
    for _ in range(DEPTH):
        os.mkdir("folder")
        os.chdir("folder")
    Path("file").touch()


def odd_files() -> None:
    top = os.environ["TMPDIR"].encode()
    for name in (b"-rf", b"--", b"*", b"a\nb", b"\xff\xfe", b" ", b"x" * 255):
        os.mkdir(os.path.join(top, name))
        Path(os.fsdecode(os.path.join(top, name, name))).touch()
    os.mkfifo(os.path.join(top, b"pipe"))
    socket.socket(socket.AF_UNIX).bind(os.path.join(top, b"socket"))
    locked = Path(os.environ["TMPDIR"]) / "locked" / "inside"
    locked.mkdir(parents=True)
    (locked / "file").touch()
    locked.chmod(0)
    locked.parent.chmod(0)
    os.chmod(top, 0)


def links_out() -> None:
    top = Path(os.environ["TMPDIR"])
    (top / "folder").mkdir()
    for place in (top, top / "folder"):
        (place / "link").symlink_to(os.environ["PRECIOUS"])
        (place / "dangling").symlink_to("/nowhere")


def unchangeable_files() -> None:
    """Where the file system and its rights allow it."""
    import fcntl
    import struct

    folder = Path(os.environ["TMPDIR"]) / "folder"
    folder.mkdir()
    (folder / "file").touch()
    for path in (folder / "file", folder):
        descriptor = os.open(path, os.O_RDONLY)
        with contextlib.suppress(OSError):
            fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, struct.pack("l", FS_IMMUTABLE))
        os.close(descriptor)


def mounts_inside() -> None:
    folder = Path(os.environ["TMPDIR"]) / "folder" / "mount"
    folder.mkdir(parents=True)
    _mount_precious_at(folder)
    _mount_precious_at(folder)


def mounts_over_its_folder() -> None:
    _mount_precious_at(Path(os.environ["TMPDIR"]))


def _mount_precious_at(folder: Path) -> None:
    """Where that is allowed. It must not be emptied."""
    LIBC.mount(os.fsencode(os.environ["PRECIOUS"]), os.fsencode(folder), b"", MS_BIND, None)


def thousands_of_files() -> None:
    top = Path(os.environ["TMPDIR"])
    for number in range(5_000):
        if number % 1_000 == 0:
            folder = top / str(number)
            folder.mkdir()
        (folder / str(number)).touch()


TRICKS: dict[str, Callable[[], object]] = {
    each.__name__: each
    for each in (
        a_stopped_child,
        a_deep_chain,
        a_crowd_of_runaways,
        a_fork_bomb,
        an_escape_from_the_sweep,
        no_adoption,
        adoption_by_another,
        a_sibling,
        a_pid_namespace,
        deaf_in_c,
        threads_in_c,
        kills_its_zygote,
        kills_its_guard,
        stops_its_zygote,
        stops_its_guard,
        signals_its_group,
        leaves_its_group,
        makes_inner_groups,
        an_open_port,
        a_deep_folder,
        odd_files,
        links_out,
        unchangeable_files,
        mounts_inside,
        mounts_over_its_folder,
        thousands_of_files,
    )
}
TRICKS["a_daemon"] = orphan
TRICKS["a_deaf_daemon"] = lambda: orphan(deaf)
TRICKS["a_stranger"] = lambda: orphan(become_a_stranger)


def handler(event: dict[str, str], context: Any) -> str:
    os.set_inheritable(os.open(event["witness"], os.O_RDWR | os.O_CREAT), True)
    os.environ.update(WITNESS=event["witness"], PRECIOUS=event["precious"])
    note(folder=os.environ["TMPDIR"])
    TRICKS[event["trick"]]()
    return end(event["then"])
