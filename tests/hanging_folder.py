"""A mounted folder whose server can be stopped: every call into it hangs then, as on a network mount whose server has
gone. The server is a process of its own, `python -m tests.hanging_folder MOUNT_POINT FOLDER`, and shows FOLDER by the
protocol of FUSE (linux/fuse.h, 7.31), read only, with nothing cached.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import pytest

_CALL_SEC = 10.0
_HEADER = struct.Struct("<IIQQIIIHH")
_ANSWER = struct.Struct("<IiQ")
_INIT = struct.Struct("<IIIIHHIIHHII24x")
_ATTR = struct.Struct("<6Q10I")
_ENTRY = struct.Struct("<4QII")
_DIRENT = struct.Struct("<QQII")
#: Of one answer; the smallest that is asked for has room for them.
_ENTRIES = 8
_OPENED = struct.Struct("<QII")
_PART = struct.Struct("<QQI")
_ROOT = 1


class Op(IntEnum):
    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    OPEN = 14
    READ = 15
    RELEASE = 18
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    INTERRUPT = 36
    BATCH_FORGET = 42


@dataclass(frozen=True, kw_only=True, slots=True)
class HangingFolder:
    #: Where it is mounted.
    path: Path
    #: What is in it: files are put here.
    behind: Path
    server: subprocess.Popen[bytes]

    def hang(self) -> None:
        self.server.send_signal(signal.SIGSTOP)

    def answer(self) -> None:
        self.server.send_signal(signal.SIGCONT)

    def unmount_lazily(self) -> None:
        """Calls that hang go on hanging; new ones do not get there any more."""
        subprocess.run(["umount", "-l", str(self.path)], check=True, timeout=_CALL_SEC)

    def bind(self, elsewhere: Path) -> None:
        """Mounts it at another place as well, for as long as it lives."""
        subprocess.run(["mount", "--bind", str(self.path), str(elsewhere)], check=True, timeout=_CALL_SEC)

    def close(self) -> None:
        self.server.kill()  # every call that hangs ends with an error
        self.server.wait(_CALL_SEC)
        assert self.server.stdout is not None
        self.server.stdout.close()
        subprocess.run(["umount", "-l", str(self.path)], check=False, timeout=_CALL_SEC, capture_output=True)


@contextlib.contextmanager
def hanging_folder(base: Path) -> Iterator[HangingFolder]:
    """Skips the test of a user who may not mount, or where there is no FUSE."""
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("a folder that hangs needs root and FUSE; tests/unit/test_folder_threads.py has calls that hang")
    path, behind = base / "mounted", base / "behind"
    path.mkdir(parents=True)
    behind.mkdir()
    command = [sys.executable, "-m", "tests.hanging_folder", str(path), str(behind)]
    folder = HangingFolder(path=path, behind=behind, server=subprocess.Popen(command, stdout=subprocess.PIPE))
    try:
        assert folder.server.stdout is not None
        assert folder.server.stdout.readline() == b"mounted\n"
        yield folder
    finally:
        folder.close()


class Server:
    def __init__(self, mount_point: str, folder: str) -> None:
        self._device = os.open("/dev/fuse", os.O_RDWR)
        self._folder = folder
        self._names: dict[int, str] = {_ROOT: ""}
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"headrace-test", mount_point.encode(), b"fuse.headrace-test", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "it cannot be mounted")

    def serve(self) -> None:
        while True:
            request = os.read(self._device, 1 << 20)
            _, kind, unique, node, *_ = _HEADER.unpack_from(request)
            if kind in (Op.FORGET, Op.BATCH_FORGET, Op.INTERRUPT):  # these want no answer
                continue
            try:
                body, error = self._answer(kind, node, request[_HEADER.size :]), 0
            except OSError as failed:
                body, error = b"", -(failed.errno or errno.EIO)
            with contextlib.suppress(FileNotFoundError):  # nobody waits for it any more
                os.write(self._device, _ANSWER.pack(_ANSWER.size + len(body), error, unique) + body)

    def _answer(self, kind: int, node: int, body: bytes) -> bytes:
        match kind:
            case Op.INIT:
                return _INIT.pack(7, 31, 1 << 16, 0, 16, 12, 1 << 16, 1, 16, 0, 0, 0)
            case Op.LOOKUP:
                name = os.path.join(self._names[node], os.fsdecode(body.rstrip(b"\0")))
                return _ENTRY.pack(self._number(name), 0, 0, 0, 0, 0) + self._attributes(name)
            case Op.GETATTR:
                return _OPENED.pack(0, 0, 0) + self._attributes(self._names[node])
            case Op.OPEN | Op.OPENDIR:
                return _OPENED.pack(0, 0, 0)
            case Op.READ:
                _, offset, size = _PART.unpack_from(body)
                return Path(self._folder, self._names[node]).read_bytes()[offset : offset + size]
            case Op.READDIR:
                _, offset, _ = _PART.unpack_from(body)
                return b"".join(self._entries(node)[offset : offset + _ENTRIES])
            case Op.RELEASE | Op.RELEASEDIR | Op.FLUSH:
                return b""
            case _:
                raise OSError(errno.ENOSYS, "not served")

    def _number(self, name: str) -> int:
        number = os.lstat(os.path.join(self._folder, name)).st_ino << 1 if name else _ROOT  # even: never the root's
        self._names[number] = name
        return number

    def _attributes(self, name: str) -> bytes:
        found = os.lstat(os.path.join(self._folder, name))
        seconds = [each // 1_000_000_000 for each in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)]
        rest = [each % 1_000_000_000 for each in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)]
        return _ATTR.pack(
            found.st_ino,
            found.st_size,
            found.st_blocks,
            *seconds,
            *rest,
            found.st_mode,
            found.st_nlink,
            0,
            0,
            0,
            4096,
            0,
        )

    def _entries(self, node: int) -> list[bytes]:
        found: list[bytes] = []
        for name in sorted(os.listdir(os.path.join(self._folder, self._names[node]))):
            raw = os.fsencode(name)
            head = _DIRENT.pack(1, len(found) + 1, len(raw), 0)  # 0: the kind is not told
            found.append((head + raw).ljust(-(-len(head + raw) // 8) * 8, b"\0"))
        return found


if __name__ == "__main__":
    server = Server(sys.argv[1], sys.argv[2])
    sys.stdout.write("mounted\n")
    sys.stdout.flush()
    server.serve()
