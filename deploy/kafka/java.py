"""The Java command line of a Kafka broker: a new enough `java`, and the jars, fetched once by Maven."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.kafka.errors import DownloadFailed, JavaMissing, LockTimedOut, MavenMissing
from deploy.kafka.process import dying

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "kafka"
POM = HERE / "pom.xml"

JAVA_NEEDED = 17  # brokers from Kafka 4.0 on
DOWNLOAD_LIMIT_SEC = 300.0  # 45 MB
VERSION_LIMIT_SEC = 60.0
POLL_SEC = 0.1

JVM_FLAGS = (
    "-Xms128m",
    "-Xmx384m",
    "-XX:+UseSerialGC",  # least memory and threads for a small heap
    "-XX:TieredStopAtLevel=1",  # half the compiler work at start, on cores shared with the tests
    "-XX:ActiveProcessorCount=2",  # or every pool is sized for the machine
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",  # writes STARTED_MARK
)


class Java:
    """Builds command lines; looks for Java and fetches the jars when the first one is asked for."""

    def command(self, main_class: str, *arguments: str) -> list[str]:
        """Blocks up to DOWNLOAD_LIMIT_SEC the first time; raises Unavailable or LockTimedOut."""
        return [*self._prefix, main_class, *arguments]

    @functools.cached_property
    def _prefix(self) -> tuple[str, ...]:
        return (find_java(), *JVM_FLAGS, "-cp", f"{Libraries().fetch()}/*")


def find_java() -> str:
    """Path of a `java` that is new enough. Blocks for a moment; raises JavaMissing."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if found is None:
        raise JavaMissing
    told = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=VERSION_LIMIT_SEC, check=False)
    version = re.search(r'version "(\d+)', told.stderr)
    if version is None or int(version[1]) < JAVA_NEEDED:
        raise JavaMissing(f"{found}: {told.stderr.splitlines()[0] if told.stderr else 'no version told'}")
    return found


class Libraries:
    """The jars of the Kafka version in pom.xml, fetched once."""

    def __init__(self, cache: Path = CACHE) -> None:
        pom = POM.read_bytes()
        version = re.search(rb"<kafka.version>([^<]+)<", pom)
        assert version is not None
        self.version = version[1].decode()
        # The folder appears by one rename and is named by what was asked for: its existence says that it is complete.
        self.folder = cache / "libs" / f"{self.version}-{hashlib.sha256(pom).hexdigest()[:12]}"

    def fetch(self) -> Path:
        """Blocks up to DOWNLOAD_LIMIT_SEC the first time; raises Unavailable or LockTimedOut."""
        if not self.folder.is_dir():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                if not self.folder.is_dir():
                    self._download()
        return self.folder

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        deadline = time.monotonic() + DOWNLOAD_LIMIT_SEC
        with (self.folder.parent / ".lock").open("w") as file:
            while not _locked(file.fileno()):
                if time.monotonic() > deadline:
                    raise LockTimedOut(file.name)
                time.sleep(POLL_SEC)
            yield

    def _download(self) -> None:
        mvn = shutil.which("mvn")
        if mvn is None:
            raise MavenMissing
        with tempfile.TemporaryDirectory(dir=self.folder.parent, prefix=".part-") as part:
            libs = Path(part, "libs")
            goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={libs}"]
            self._run([mvn, "--batch-mode", "--quiet", "--file", str(POM), *goal])
            libs.rename(self.folder)

    @staticmethod
    def _run(command: Sequence[str]) -> None:
        print("fetching the Kafka libraries with Maven (once) ...", file=sys.stderr, flush=True)
        try:
            done = subprocess.run(
                dying(command),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=DOWNLOAD_LIMIT_SEC,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DownloadFailed(f"not done after {DOWNLOAD_LIMIT_SEC:.0f} s") from None
        if done.returncode != 0:
            raise DownloadFailed("".join((done.stdout + done.stderr).splitlines()[:1]))  # the rest is on Maven itself


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
