"""SQLite's own method: the first call that changes a file fails, then the second, and so on until a whole scenario
passes without coming so far. Here for the embedded log and for the history, with each way of failing.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from processor.core.clock import SystemClock
from processor.core.topics import RUNS
from processor.recorder.batch import decode_batch
from processor.recorder.sqlite import SqliteHistoryStore
from processor.transport.abstract import AppendFailed, TopicPartition
from processor.transport.embedded import EmbeddedTransport
from processor.transport.replay import read_to_end
from tests.faulty_disk import Fault, built, environment
from tests.integration import disk_fault_victim as victim

ROOT = Path(__file__).resolve().parents[2]
#: The scenarios make fewer calls than that.
MOST = 400
#: Of the calls that are failed in the short version: every so-manieth.
STEP = 26
RUN_SEC = 240.0
AT = TopicPartition(RUNS.name, 0)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("library"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is such a place: what a sync costs is not the point here."""
    memory = Path("/dev/shm")  # a folder of its own is made there
    with tempfile.TemporaryDirectory(prefix="headrace-test-", dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


def run_victims(use: str, fault: Fault, numbers: list[int], library: Path, folder: Path) -> dict[int, int]:
    """Number of the call that failed -> how that process ended."""
    done = subprocess.run(
        [sys.executable, victim.__file__, use, fault.name, ",".join(map(str, numbers)), str(folder)],
        env={**environment(library), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_SEC,
        check=True,
    )
    ended = {int(number): int(code) for number, code in (line.split() for line in done.stdout.splitlines())}
    reached = {number: code for number, code in ended.items() if code != victim.NOT_REACHED}
    assert reached, "the disk never failed"
    expected = -9 if fault.kills else 0
    assert {number: code for number, code in reached.items() if code != expected} == {}, done.stderr
    return ended


@dataclass(kw_only=True, slots=True)
class Told:
    """What the embedded log has said."""

    tried: Counter[str] = field(default_factory=Counter)
    yes: set[str] = field(default_factory=set)
    #: Values of which it was said that not all of them are there.
    no: list[list[str]] = field(default_factory=list)
    committing: int = 0
    committed: int = 0

    @classmethod
    def read(cls, path: Path) -> Told:
        told = cls()
        for line in path.read_text().splitlines() if path.exists() else []:
            word, *rest = line.split()
            if word == "tries":
                told.tried.update(rest)
            elif word == "yes":
                told.yes.update(rest)
            elif word == "no":
                told.no.append(rest)
            elif word == "commits":
                told.committing = int(rest[0])
            elif word == "committed":
                told.committed = int(rest[0])
        return told


def check_log(folder: Path) -> None:
    """What was acknowledged is there, what was refused is not, all is in order, and it takes more."""
    told = Told.read(folder / "evidence")
    with EmbeddedTransport(folder) as transport:
        transport.admin().create_topics([victim.TOPIC], victim.CALL_SEC)
        with closing(transport.reader()) as reader:
            low, high = reader.bounds([victim.PLACE], victim.CALL_SEC)[victim.PLACE]
            records = list(read_to_end(reader, [victim.PLACE], SystemClock(), timeout_sec=victim.CALL_SEC))
        there = Counter((each.value or b"").partition(b"-")[0].decode() for each in records)
        first = {"a00"} if low else set()  # deleted on purpose
        assert [each.offset for each in records] == list(range(low, high))
        assert told.yes - first <= there.keys()
        assert all(there[value] <= told.tried[value] for value in there)
        for values in told.no:
            refused = told.no.count(values)
            assert min(there[each] - told.tried[each] for each in values) <= -refused
        known = transport.admin().committed(victim.GROUP, [victim.PLACE], victim.CALL_SEC)[victim.PLACE]
        offset = 0 if known is None else known.offset
        assert told.committed <= offset <= told.committing
        producer = transport.producer()
        producer.append(victim.TOPIC.name, b"more", partition=0)
        producer.flush(victim.CALL_SEC)
        producer.close()
    check_file(folder / victim.FILES["log"])


def check_history(folder: Path) -> None:
    """It stands where its offsets say, and the rest can be put on top."""
    records = victim.ledger()
    with closing(SqliteHistoryStore(folder / victim.FILES["history"])) as store:
        store.open_for_writing()
        at = store.offsets().get(AT, 0)
        assert at >= applied(folder / "evidence")
        assert sum(store.run_counts().values()) == at // 4
        if at < len(records):
            store.apply(decode_batch(records[at:]), {AT: len(records)})
        assert dict(store.run_counts()) == {("f", "FINISHED"): victim.RUN_COUNT}
        for each in records[::4]:
            page = store.get_lines((each.key or b"").decode())
            assert [line.seq for line in page.lines] == [1]
        assert store.counters()["void_verdicts"] == 0
    check_file(folder / victim.FILES["history"])


def applied(evidence: Path) -> int:
    lines = evidence.read_text().splitlines() if evidence.exists() else []
    return max((int(line.split()[1]) for line in lines if line.startswith("applied")), default=0)


def check_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


CHECKS = {"log": check_log, "history": check_history}


def sweep(use: str, fault: Fault, numbers: list[int], library: Path, folder: Path) -> dict[int, int]:
    ended = run_victims(use, fault, numbers, library, folder)
    for number in ended:
        try:
            CHECKS[use](folder / str(number))
        except (AssertionError, AppendFailed) as error:
            raise AssertionError(f"{use}, {fault.name} at call {number}: {error}") from error
    return ended


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize("fault", Fault, ids=lambda each: each.name)
@pytest.mark.parametrize("use", CHECKS)
def test_whichever_call_fails_what_was_told_is_true_and_the_file_is_sound(
    use: str, fault: Fault, library: Path, folder: Path
) -> None:
    ended = sweep(use, fault, list(range(1, MOST)), library, folder)
    assert victim.NOT_REACHED in ended.values(), "the sweep ends too early"
    assert len(ended) > 20


@pytest.mark.parametrize(
    ("use", "fault"), [("log", Fault.SHORT), ("log", Fault.KILL_TORN), ("history", Fault.IO_ERROR)]
)
def test_some_calls_fail_and_what_was_told_is_true(use: str, fault: Fault, library: Path, folder: Path) -> None:
    sweep(use, fault, list(range(2, MOST, STEP)), library, folder)
