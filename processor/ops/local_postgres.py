"""A PostgreSQL of our own for a while, from the server's binaries, on a Unix socket only."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import psycopg

from processor.core.errors import HeadraceError

#: Where Debian has the server's binaries, and where others do.
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/bin")
#: The server refuses to run as root.
_UNPRIVILEGED = ("postgres", "nobody")
_START_SEC = 60.0
_STOP_SEC = 20.0
_LOOK_SEC = 0.05
#: Nothing in it is to survive anything, and it shares a small machine.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "autovacuum_naptime": "10s",
}


class NoPostgres(HeadraceError):
    """There is no PostgreSQL server on this machine."""

    remedy = "Install it (Debian: apt-get install postgresql), or name a running one."


class LocalPostgres:
    """Its data live in a folder of its own below the temporary folder, and go with it. Blocks; used by one thread."""

    def __init__(self) -> None:
        """Raises NoPostgres."""
        self._binaries = _find_binaries()
        user = _unprivileged_user() if os.geteuid() == 0 else None
        #: None: whoever we are.
        self._user_id = user and user.pw_uid
        self._group_id = user and user.pw_gid
        self._process: subprocess.Popen[bytes] | None = None
        # Not below a folder of pytest's: those are closed to other users, and too long for the name of a socket.
        self.folder = Path(tempfile.mkdtemp(prefix="headrace-postgres-"))
        if user is not None:
            os.chown(self.folder, user.pw_uid, user.pw_gid)

    @property
    def url(self) -> str:
        return f"postgresql://headrace@/postgres?host={quote(str(self.folder), safe='')}"

    def start(self) -> None:
        """Returns when it answers. Makes the database on first use. Raises HeadraceError."""
        data = self.folder / "data"
        if not data.exists():
            options = ("--username=headrace", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
            self._run([str(self._binaries / "initdb"), f"--pgdata={data}", *options])
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(data), "-k", str(self.folder), *settings],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                user=self._user_id,
                group=self._group_id,
            )
        self._await_answer()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: connections are ended and everything is written; SIGQUIT: as after a crash."""
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.send_signal(how)
            self._process.wait(_STOP_SEC)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_STOP_SEC)
        self._process = None

    def close(self) -> None:
        """Stops it and removes everything."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _await_answer(self) -> None:
        deadline_sec = time.monotonic() + _START_SEC
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.Error as error:
                if self._process is None or self._process.poll() is not None or time.monotonic() > deadline_sec:
                    log = (self.folder / "server.log").read_text(errors="replace")[-2_000:]
                    raise HeadraceError(f"PostgreSQL did not start: {error}\n{log}") from error
            else:
                return
            time.sleep(_LOOK_SEC)

    def _run(self, command: Sequence[str]) -> None:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_START_SEC,
            cwd=self.folder,
            user=self._user_id,
            group=self._group_id,
        )
        if done.returncode:
            raise HeadraceError(f"{command[0]} failed: {done.stderr.strip()}")


@contextlib.contextmanager
def local_postgres() -> Iterator[LocalPostgres]:
    """One that runs. Raises NoPostgres."""
    server = LocalPostgres()
    try:
        server.start()
        yield server
    finally:
        server.close()


def _find_binaries() -> Path:
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    for place in _PLACES:
        folders += sorted(Path("/").glob(place.lstrip("/")), key=_version)
    usable = [each for each in folders if (each / "initdb").exists() and (each / "postgres").exists()]
    if not usable:
        raise NoPostgres
    return usable[-1]


def _version(folder: Path) -> int:
    name = folder.parent.name.rpartition("-")[2]
    return int(name) if name.isdigit() else 0


def _unprivileged_user() -> pwd.struct_passwd:
    for name in _UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgres("PostgreSQL refuses to run as root, and there is no other user")
