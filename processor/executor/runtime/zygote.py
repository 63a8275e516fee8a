"""The process of one function version that has imported its module and forks instances of it.

It stays single-threaded: a module that starts threads on import is imported by each instance after the fork instead.
"""

from __future__ import annotations

import gc
import io
import os
import resource
import select
import signal
import socket
import sys
from dataclasses import dataclass
from typing import NoReturn

import orjson

from . import burial, failure, folders, frames, handler, instance, linux, logs
from .channel import Channel, Message
from .groups import Group, Groups

CHANNEL_FD = 3
#: Ignored here so that a stray signal to the group of processes kills no zygote; as usual in instances.
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Living:
    """An instance. number: given by the executor."""

    number: int
    pidfd: int
    folder: str
    group: Group


class Zygote:
    def __init__(
        self,
        *,
        channel: Channel,
        groups: Groups,
        name: str,
        code_dir: str,
        loaded: handler.Handler | None,
        log: logs.FrameHandler,
    ) -> None:
        self._channel = channel
        self._groups = groups
        self._name = name
        self._code_dir = code_dir
        #: None: instances import the module themselves.
        self._loaded = loaded
        self._log = log
        #: By pid.
        self._instances: dict[int, Living] = {}
        self._poller = select.poll()
        self._poller.register(channel.fileno(), select.POLLIN)
        self._burials = burial.Burials(self._poller, channel.send)

    def serve(self) -> None:
        """Returns when the executor has closed the channel."""
        while True:
            ready = {fd for fd, _ in self._poller.poll(self._burials.look_in_ms)}
            for pid in [pid for pid, each in self._instances.items() if each.pidfd in ready]:
                self._bury(pid)
            self._burials.go_on(self._instances.keys())
            if self._channel.fileno() in ready:
                received = self._channel.receive()
                if received is None:
                    return
                self._fork(*received)

    def _fork(self, message: Message, descriptors: list[int]) -> None:
        number, folder = message["fork"], message["folder"]
        instance.flush()
        zygote_pid = os.getpid()
        try:
            group = self._groups.make(f"i{number}")
            pid = os.fork()
        except OSError as error:
            self._channel.send({"unborn": number, "reason": f"fork: {error.strerror}"})
            return
        else:
            if pid == 0:
                self._become_instance(zygote_pid, number, folder, group, descriptors)
        finally:
            for each in descriptors:
                os.close(each)
        pidfd = os.pidfd_open(pid)
        self._instances[pid] = Living(number=number, pidfd=pidfd, folder=folder, group=group)
        self._poller.register(pidfd, select.POLLIN)
        self._channel.send({"born": number, "pid": pid}, [pidfd])

    def _bury(self, pid: int) -> None:
        """Reap, kill what it left behind, remove its folder, tell."""
        dead = self._instances.pop(pid)
        self._poller.unregister(dead.pidfd)
        os.close(dead.pidfd)
        _, status, usage = os.wait4(pid, 0)
        message: Message = {"gone": dead.number, "status": status, "peak_kib": usage.ru_maxrss}
        self._burials.begin(message, folder=dead.folder, group=dead.group, living=self._instances.keys())

    def _become_instance(
        self, zygote_pid: int, number: int, folder: str, group: Group, descriptors: list[int]
    ) -> NoReturn:
        try:
            os.setsid()
            linux.die_with_parent(zygote_pid)
            linux.adopt_orphans()
            group.join()
            sock = self._take_descriptors(descriptors)
            for each in IGNORED:
                if signal.getsignal(each) is signal.SIG_IGN:
                    signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
            _move_to(folder, number)
            _reseed()
            speaker = instance.Speaker(sock)
            loaded = self._loaded or _load_late(self._name, self._code_dir, speaker)
            self._log.connect(speaker.send_log)
            instance.Instance(sock=sock, speaker=speaker, handler=loaded).serve()
        except BaseException:
            instance.end_with_traceback()

    def _take_descriptors(self, descriptors: list[int]) -> socket.socket:
        """Standard output, standard error and the socket; nothing of the zygote's or of its other instances'."""
        sock_fd, out, err = descriptors
        self._channel.close()
        self._burials.forget()
        for each in self._instances.values():
            os.close(each.pidfd)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        return socket.socket(fileno=sock_fd)


def _move_to(folder: str, number: int) -> None:
    folders.make_private(folder)
    os.environ["TMPDIR"] = os.environ["HOME"] = folder
    os.environ["AWS_LAMBDA_LOG_STREAM_NAME"] = str(number)
    if "tempfile" in sys.modules:
        sys.modules["tempfile"].__dict__["tempdir"] = None  # it remembers the folder that it found on import


def _reseed() -> None:
    """`random` reseeds itself after a fork; NumPy's global generator does not."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _load_late(name: str, code_dir: str, speaker: instance.Speaker) -> handler.Handler:
    try:
        return handler.load(name, code_dir)
    except BaseException as error:
        instance.flush()
        speaker.send(frames.NOT_LOADABLE, failure.describe(error))
        os._exit(1)


def _prepare(guard_pid: int, group: Group, name: str, code_dir: str) -> None:
    for each in IGNORED:
        signal.signal(each, signal.SIG_IGN)
    linux.die_with_parent(guard_pid)
    linux.adopt_orphans()
    linux.no_new_privileges()
    group.join()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.set_inheritable(CHANNEL_FD, False)
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        # One write per line: half as many wake-ups of the executor as unbuffered, and nothing is lost but a last
        # line without its end if the process is killed.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    sys.argv = [name]
    os.chdir(code_dir)


def _has_threads() -> bool:
    return len(os.listdir("/proc/self/task")) > 1


def _load_here(channel: Channel, name: str, code_dir: str) -> handler.Handler:
    try:
        return handler.load(name, code_dir)
    except BaseException as error:
        instance.flush()
        channel.send({"failed": orjson.loads(failure.describe(error))})
        os._exit(1)


def _begin_again_late(arguments: list[str], environ: dict[str, str]) -> NoReturn:
    """Only exec gets rid of threads. Process id, parent, channel and limits stay."""
    instance.flush()
    os.set_inheritable(CHANNEL_FD, True)
    os.chdir("/")
    entry = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    command = [sys.executable, "-I", entry, "zygote", *arguments, "late"]
    os.execve(sys.executable, command, environ)  # noqa: S606  # no shell is wanted


def main(arguments: list[str]) -> None:
    guard_pid = int(arguments[0])
    groups = Groups.from_arguments(arguments[1:4])
    name, code_dir, *late = arguments[4:]
    environ = dict(os.environ)
    channel = Channel(socket.socket(fileno=CHANNEL_FD))
    try:
        _prepare(guard_pid, groups.make("self"), name, code_dir)
    except OSError as error:
        channel.send({"failed": orjson.loads(failure.describe(error))})
        os._exit(1)
    log = logs.install()
    loaded = None if late else _load_here(channel, name, code_dir)
    if not late and _has_threads():
        _begin_again_late(arguments, environ)
    instance.flush()
    gc.collect()
    gc.freeze()  # collections in instances would write to, and so copy, every page that the zygote shares with them
    channel.send({"ready": True})
    Zygote(channel=channel, groups=groups, name=name, code_dir=code_dir, loaded=loaded, log=log).serve()
    os._exit(0)
