"""Every command of README.md, run as it is written; what it prints is compared with what README.md shows.

What differs from machine to machine (ids, times, versions, sizes) is compared by form, and an id that README.md shows
twice must be the same twice.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.kafka.broker import free_ports
from processor.ops.processes import Role

ROOT = Path(__file__).parents[2]
BLOCK_SEC = 40.0
#: What only looks may be repeated until it shows what it should: the reader is slower than the test.
ONLY_LOOKS = re.compile(r"(headrace (runs|logs|functions|triggers ls|triggers show) .*|ls .*)")
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
#: Of what README.md shows: what stands for it on another machine.
FORMS = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    (r"\d+\.\d{3} s", r"\d+\.\d{3} s"),
    (r"[\d,]+ bytes", r"[\d,]+ bytes"),
    (r"\b[0-9a-f]{12}\b", r"[0-9a-f]{12}"),
    (r"-schedule-[0-9a-f]{8}", r"-schedule-[0-9a-f]{8}"),
    (r"next \d{4}-\d\d-\d\dT[\d:]+Z", r"next \d{4}-\d\d-\d\dT[\d:]+Z"),
    (r"ready executor \S+ slots=\d+", r"ready executor \S+ slots=\d+"),
    (r"/home/ada/headrace", r"/.*"),
    (r"\.headrace/kafka/", r"\.headrace/kafka-[^/]+/"),  # the test has a prefix of its own on its broker
    (r" +", r" +"),
)


@dataclass(frozen=True, slots=True)
class Block:
    commands: str
    #: None: README.md shows no output.
    output: str | None


def blocks_of(heading: str) -> list[Block]:
    text = (ROOT / "README.md").read_text()
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    fences = re.findall(r"^```(\w*)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    found: list[Block] = []
    for kind, body in fences:
        if kind == "sh":
            found.append(Block(body, None))
        elif not kind:
            found[-1] = Block(found[-1].commands, body)
    return found


@dataclass
class Reader:
    """Somebody who follows README.md: a shell, and what stands for the ids that it shows."""

    folder: Path
    port: int
    listener_port: int
    bound: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        self.environment = environment | self.ports | {"TZ": "UTC"}
        self._lines: queue.Queue[str] = queue.Queue()

    @property
    def ports(self) -> dict[str, str]:
        return {"HEADRACE_GATEWAY__PORT": str(self.port), "HEADRACE_TRIGGERS__PORT": str(self.listener_port)}

    def on_our_ports(self, text: str) -> str:
        text = text.replace("127.0.0.1:8787", f"127.0.0.1:{self.port}")
        return text.replace("127.0.0.1:8788", f"127.0.0.1:{self.listener_port}")

    def open_shell(self, **environment: str) -> None:
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def close(self) -> None:
        """Ends the shell and what it has in the background."""
        assert self._shell.stdin is not None
        self._shell.stdin.write("kill $(jobs -p) 2>/dev/null; wait\n")
        self._shell.stdin.close()
        self._shell.wait(BLOCK_SEC)
        self._listener.join(BLOCK_SEC)

    def do(self, block: Block) -> None:
        """Runs a block and compares; fails with what was printed instead."""
        commands = block.commands.splitlines()
        repeatable = all(ONLY_LOOKS.fullmatch(each) for each in commands)
        deadline = time.monotonic() + BLOCK_SEC
        while True:
            printed = self.run(block.commands)
            if block.output is None or self.matches(block.output, printed):
                return
            again = repeatable and time.monotonic() < deadline
            assert again, f"$ {block.commands}{printed}\nshown:\n{block.output}"
            time.sleep(0.2)

    def run(self, commands: str) -> str:
        for shown, real in self.bound.items():
            commands = commands.replace(shown, real)
        commands = self.on_our_ports(commands)
        self.tell(f"{commands}\necho; echo @end\n")
        printed = ""
        while (line := self._lines.get(timeout=BLOCK_SEC)) != "@end\n":
            printed += line
        return printed

    def tell(self, commands: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(commands)
        self._shell.stdin.flush()

    def await_lines(self, shown: str) -> None:
        """What programs in the background print, in any order."""
        missing = [self.line_pattern(line, []) for line in shown.splitlines()]
        while missing:
            line = self._lines.get(timeout=BLOCK_SEC)
            found = [each for each in missing if re.fullmatch(each, line)]
            assert found, f"{line}not shown; missing: {missing}"
            missing.remove(found[0])

    def matches(self, shown: str, printed: str) -> bool:
        pattern, names = self.pattern_of(shown)
        found = re.fullmatch(pattern + r"\s*", printed)
        if found is None:
            return False
        self.bound.update(zip(names, found.groups(), strict=True))
        return True

    def pattern_of(self, shown: str) -> tuple[str, list[str]]:
        names: list[str] = []
        lines = [r"(?:.*\n)*?" if line == "..." else self.line_pattern(line, names) for line in shown.splitlines()]
        return "".join(lines), names

    def line_pattern(self, line: str, names: list[str]) -> str:
        line = self.on_our_ports(line)
        pattern, at = "", 0
        for found in re.finditer(f"{UUID}|(?<=process )\\d+", line):
            pattern += by_form(line[at : found.start()]) + self.id_pattern(found[0], names)
            at = found.end()
        return pattern + by_form(line[at:]) + r" *\n"

    def id_pattern(self, shown: str, names: list[str]) -> str:
        if shown in self.bound:
            return re.escape(self.bound[shown])
        if shown in names:
            return rf"\{names.index(shown) + 1}"
        names.append(shown)
        return rf"({UUID}|\d+)"

    def _listen(self) -> None:
        assert self._shell.stdout is not None
        with self._shell.stdout as lines:
            for line in lines:
                self._lines.put(line)


def by_form(text: str) -> str:
    for at, (shown, _) in enumerate(FORMS):
        text = re.sub(shown, f"\0{at}\0", text)
    return re.sub("\0(\\d+)\0", lambda found: FORMS[int(found[1])][1], re.escape(text).replace("\\\0", "\0"))


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".venv").symlink_to(sys.prefix)
    port, listener_port = free_ports(2)
    return Reader(tmp_path, port, listener_port)


def make_dev() -> list[str]:
    """What `make dev` runs once everything is installed, without the program's path."""
    found = re.search(r"^dev:.*\n\t\$\(BIN\)/headrace (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found, "the Makefile has no target dev that runs headrace"
    return found[1].split()


@contextmanager
def dev_of(reader: Reader) -> Iterator[str]:
    """Yields what it printed until it was ready."""
    environment = {**reader.ports, "PYTHONPATH": str(ROOT)}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(reader.folder)
        role = Role(make_dev(), environment, reader.folder / "dev.log")
    with role:
        printed: list[str] = []
        while not printed or not printed[-1].startswith("ready dev"):
            printed.append(role.wait_for("", BLOCK_SEC))
        yield "".join(f"{line}\n" for line in printed)


def test_the_first_ten_minutes_go_as_written(reader: Reader) -> None:
    first, *others = blocks_of("The first ten minutes")
    assert first.commands == "make dev\n"
    with dev_of(reader) as printed:
        assert reader.matches(first.output or "", printed), printed
        reader.open_shell()
        with closing(reader):
            for block in others:
                reader.do(block)
    assert (reader.folder / "dev.log").read_text() == ""


def test_the_five_roles_run_on_kafka_as_written(reader: Reader, kafka_bootstrap: str, topic_prefix: str) -> None:
    first, *others = blocks_of("On Kafka")
    assert first.commands == "make kafka\n"
    (reader.folder / ".headrace" / "uploads").mkdir(parents=True)
    reader.open_shell(
        HEADRACE_KAFKA__BOOTSTRAP_SERVERS=kafka_bootstrap,
        HEADRACE_KAFKA__TOPIC_PREFIX=topic_prefix,
        HEADRACE_LOG__LEVEL="ERROR",  # roles in the background would write into the middle of other lines
    )
    with closing(reader):
        for block in others:
            if block.commands.startswith("headrace start "):
                reader.tell(block.commands)
                reader.await_lines(block.output or "")
            else:
                reader.do(block)
