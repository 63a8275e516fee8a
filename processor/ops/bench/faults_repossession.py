"""`python -m processor.ops.bench.faults_repossession`: what is left of killed instances, how fast new ones are there.

Survivors are looked for without the product: each process of an adversary holds a witness file open. Needs a checkout,
for the adversary (tests/functions/adversarial.py).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from processor.core.clock import SystemClock
from processor.core.run import StatusCode
from processor.executor.abstract import FunctionCode, LogLines, RunEnded, RunInput
from processor.executor.containment import Containment, NoControlGroups
from processor.executor.deadline import EndPolicy
from processor.executor.options import PoolOptions
from processor.executor.pool import InstancePool
from processor.ops.bench.figures import Figure, keep, percentile, table

RESULTS = Path(".bench/latest.json")
FUNCTIONS = Path(__file__).with_name("functions")
ADVERSARIES = Path("tests/functions")
TRICKS = (
    "a_daemon",
    "a_deaf_daemon",
    "a_stranger",
    "a_stopped_child",
    "a_deep_chain",
    "a_crowd_of_runaways",
    "a_fork_bomb",
    "an_escape_from_the_sweep",
    "no_adoption",
    "adoption_by_another",
    "a_sibling",
    "leaves_its_group",
    "makes_inner_groups",
    "threads_in_c",
    "an_open_port",
    "odd_files",
)
MAX_PROCESSES = 60
LIMIT_SEC = 60.0


class Bench:
    """One pool, one run at a time or several that follow each other."""

    def __init__(self, pool: InstancePool, folder: Path) -> None:
        self._pool = pool
        self.folder = folder
        self._given = 0
        #: Unix nanoseconds at which each end was seen.
        self.seen_at_ns: dict[str, int] = {}
        self._ends: dict[str, RunEnded] = {}
        self.texts: dict[str, list[str]] = {}

    def begin(self, handler: str, data: object, code_dir: Path = FUNCTIONS) -> str:
        """Returns its delivery. All handlers of one module share a function version, so its zygote."""
        self._given += 1
        code = FunctionCode(
            name=handler, version="1", handler=handler, code_dir=code_dir.absolute(), timeout_sec=LIMIT_SEC
        )
        event = {"specversion": "1.0", "id": "1", "source": "/bench", "type": "bench", "data": data}
        run = RunInput(f"r{self._given}", f"queue/0/{self._given}", json.dumps(event).encode())
        self._pool.start_run(code, run, concurrency=1)
        return run.delivery

    def ended(self, delivery: str) -> RunEnded:
        give_up_at = time.monotonic() + LIMIT_SEC
        while delivery not in self._ends:
            if time.monotonic() > give_up_at:
                raise TimeoutError(delivery)
            self._take()
        return self._ends.pop(delivery)

    def said(self, delivery: str, text: str) -> None:
        give_up_at = time.monotonic() + LIMIT_SEC
        while text not in self.texts.get(delivery, ()) and delivery not in self._ends:
            if time.monotonic() > give_up_at:
                raise TimeoutError(delivery)
            self._take()

    def cancel(self, delivery: str) -> None:
        self._pool.kill(delivery, StatusCode.CANCELLED, "bench")

    def _take(self) -> None:
        for event in self._pool.poll(0.05):
            if isinstance(event, RunEnded):
                self.seen_at_ns[event.delivery] = time.time_ns()
                self._ends[event.delivery] = event
            elif isinstance(event, LogLines):
                self.texts.setdefault(event.delivery, []).extend(line[4] for line in event.lines)


@contextlib.contextmanager
def bench(containment: Containment) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        options = PoolOptions(
            data_dir=Path(folder),
            slots=2,
            containment=containment,
            max_processes=MAX_PROCESSES,
            end=EndPolicy(grace_sec=0.1),
        )
        pool = InstancePool(options=options, clock=SystemClock())
        pool.start()
        try:
            yield Bench(pool, Path(folder))
        finally:
            pool.join(LIMIT_SEC)


def survivors(bench: Bench, kills: int) -> Iterator[tuple[int, float]]:
    """How many processes and folders were there right after each verdict, and the milliseconds from cancel to it."""
    precious = bench.folder / "precious"
    precious.mkdir()
    for number in range(kills):
        witness = bench.folder / f"witness{number}"
        trick = TRICKS[number % len(TRICKS)]
        event = {"trick": trick, "witness": str(witness), "precious": str(precious), "then": "hang"}
        delivery = bench.begin("adversarial:handler", event, ADVERSARIES)
        bench.said(delivery, "done")
        asked_at_ns = time.time_ns()
        bench.cancel(delivery)
        bench.ended(delivery)
        left = len(_holders(witness)) + _folder_left(witness)
        yield left, (bench.seen_at_ns[delivery] - asked_at_ns) / 1e6


def _holders(witness: Path) -> list[int]:
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _holds(pid, str(witness))]


def _holds(pid: str, path: str) -> bool:
    try:
        return any(os.readlink(f"/proc/{pid}/fd/{each}") == path for each in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False  # it is ending


def _folder_left(witness: Path) -> int:
    notes = [json.loads(line) for line in witness.read_text().splitlines()]
    return sum(os.path.lexists(each["folder"]) for each in notes if "folder" in each)


def replacements_ms(bench: Bench, count: int) -> Iterator[float]:
    """From the exception in one instance to the first line of the handler in the next."""
    for _ in range(count):
        failing, waiting = bench.begin("ends:fails_or_begins", "fail"), bench.begin("ends:fails_or_begins", "begin")
        error = bench.ended(failing).error
        assert error is not None
        begun: Any = json.loads(bench.ended(waiting).result or b"0")
        yield (begun - int(error.message)) / 1e6


def deaths_ms(bench: Bench, count: int) -> Iterator[float]:
    """From the last act of an instance to its verdict."""
    for number in range(count):
        delivery = bench.begin("ends:dies", {"how": ("exit", "SIGKILL", "SIGSEGV")[number % 3]})
        bench.ended(delivery)
        died_at_ns = int(next(text for text in bench.texts[delivery] if text.isdigit()))
        yield (bench.seen_at_ns[delivery] - died_at_ns) / 1e6


def measure(containment: Containment, kills: int, count: int) -> list[Figure]:
    how = f"({containment.value})"
    with bench(containment) as measured:
        left = list(survivors(measured, kills))
        new = list(replacements_ms(measured, count))
        deaths = list(deaths_ms(measured, count))
    asked = [milliseconds for _, milliseconds in left]
    return [
        _figure(f"survivors after {kills} adversarial kills {how}", sum(each for each, _ in left), "", 0),
        _figure(f"cancel without grace -> tree gone, verdict, p99 {how}", percentile(asked, 0.99), "ms", 1000),
        _figure(f"exception -> handler begins in a new instance, p50 {how}", percentile(new, 0.5), "ms", 15),
        _figure(f"child death -> verdict, p99 {how}", percentile(deaths, 0.99), "ms", 200),
    ]


def _figure(name: str, value: float, unit: str, target: float) -> Figure:
    return Figure(name=name, value=value, unit=unit, target=target, better="lower")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="faults_repossession", description=__doc__)
    parser.add_argument("--kills", type=int, default=320, help="adversarial kills per way of containment")
    parser.add_argument("--count", type=int, default=200, help="ends measured for each latency")
    options = parser.parse_args(arguments)
    figures: list[Figure] = []
    for containment in (Containment.CGROUP, Containment.SWEEP):
        try:
            figures += measure(containment, options.kills, options.count)
        except NoControlGroups as reason:
            print(reason, file=sys.stderr)
    keep(figures, RESULTS)
    print(table(figures))
    return 0 if all(each.ok for each in figures if each.name.startswith("survivors")) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
