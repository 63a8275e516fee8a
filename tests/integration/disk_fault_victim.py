"""Run as a program, on a disk that fails (tests/faulty_disk.py): works with the embedded log, or with a history, and
writes down what it was told. Once for each place at which something can fail, each time in a process of its own.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

import orjson

from processor.core.errors import HeadraceError
from processor.core.ledger import Accepted, Ended, LedgerRecord, Position, Started, encode
from processor.core.request_id import request_id
from processor.core.run import Delivery, StatusCode
from processor.core.topics import LOGS, RUNS, Keep, Topic
from processor.recorder.batch import decode_batch
from processor.recorder.sqlite import SqliteHistoryStore
from processor.recorder.store import HistoryUnavailable
from processor.transport.abstract import (
    AppendFailed,
    Committed,
    Outcome,
    RebalanceListener,
    Record,
    TopicPartition,
    Transport,
)
from processor.transport.embedded import EmbeddedTransport
from tests.faulty_disk import Fault, arm, disarm

T = TypeVar("T")

TOPIC = Topic(name="t", key="-", partitions=1, keep=Keep.UNTIL_CONSUMED)
PLACE = TopicPartition("t", 0)
GROUP = "g"
ROUNDS = 2
VALUES = 3
#: A value takes more than one page of the file.
PADDING = "x" * 6_000
RUN_COUNT = 3
DAY_MS = 1_795_478_400_000
CALL_SEC = 10.0
TRIES = 5
#: In a log or a history of that name, journals of it included.
FILES = {"log": "log.sqlite3", "history": "history.db"}
#: Exit code: the scenario has made fewer calls than that.
NOT_REACHED = 3


class Silent(RebalanceListener):
    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {}

    def on_revoke(self, partitions: Collection[TopicPartition]) -> None:
        pass

    def on_lost(self, partitions: Collection[TopicPartition]) -> None:
        pass


class Evidence:
    """Not through the failing calls: a file of its own, each line written at once."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(self, *words: object) -> None:
        os.write(self._file, f"{' '.join(map(str, words))}\n".encode())


def again(act: Callable[[], T]) -> T:
    """As a service does that was refused once."""
    for _ in range(TRIES - 1):
        try:
            return act()
        except HeadraceError:
            time.sleep(0.01)
    return act()


def use_log(folder: Path, evidence: Evidence) -> None:
    for life in ("a", "b"):
        transport = again(lambda: EmbeddedTransport(folder))
        again(lambda transport=transport: transport.admin().create_topics([TOPIC], CALL_SEC))  # type: ignore[misc]
        for round_ in range(ROUNDS):
            _append(transport, [f"{life}{round_}{each}-{PADDING}" for each in range(VALUES)], evidence)
            _commit(transport, (life == "b") * ROUNDS + round_ + 1, evidence)
        again(lambda transport=transport: transport.admin().delete_records({PLACE: 1}, CALL_SEC))  # type: ignore[misc]
        transport.close()
    evidence.say("done")


def _append(transport: Transport, values: list[str], evidence: Evidence) -> None:
    """Until it is told that they are there."""
    for _ in range(TRIES):
        producer = transport.producer()
        try:
            evidence.say("tries", *(each.partition("-")[0] for each in values))
            for each in values:
                producer.append(TOPIC.name, each.encode(), partition=0)
            producer.flush(CALL_SEC)
        except AppendFailed as failed:
            evidence.say(failed.outcome.value, *(each.partition("-")[0] for each in values))
        else:
            evidence.say("yes", *(each.partition("-")[0] for each in values))
            return
        finally:
            producer.close()
    raise SystemExit("nothing can be appended any more")


def _commit(transport: Transport, offset: int, evidence: Evidence) -> None:
    consumer = transport.consumer(GROUP, Silent())
    consumer.subscribe([TOPIC.name])
    consumer.poll(0, 0.0)
    for _ in range(TRIES):
        evidence.say("commits", offset)
        if consumer.commit({PLACE: Committed(offset, "")}, CALL_SEC)[PLACE] is Outcome.YES:
            evidence.say("committed", offset)
            break
    else:
        raise SystemExit("nothing can be committed any more")
    consumer.close()


def use_history(folder: Path, evidence: Evidence) -> None:
    """As the recorder does: after any failure it opens the history anew and goes on from the offsets that it has."""
    records = ledger()
    store = SqliteHistoryStore(folder / FILES["history"])
    failures = 0
    while True:
        try:
            store.open_for_writing()
            at = store.offsets().get(TopicPartition(RUNS.name, 0), 0)
            while at < len(records):
                store.apply(decode_batch(records[at : at + 4]), {TopicPartition(RUNS.name, 0): at + 4})
                at += 4
                evidence.say("applied", at)
            break
        except HistoryUnavailable:
            failures += 1
            if failures == TRIES:
                raise
    store.close()
    evidence.say("done")


def ledger() -> list[Record]:
    """Four records for each run, in their order; a line of the log among them."""
    return [record for number in range(RUN_COUNT) for record in _run(number)]


def _run(number: int) -> list[Record]:
    id_ = request_id("f", "test", str(number))
    delivery = Delivery("queue.f.1", 0, number)
    line = [1, "stdout", None, DAY_MS, PADDING]
    told = {"request_id": id_, "function": "f", "delivery": str(delivery), "lines": [line]}
    entries: list[LedgerRecord] = [
        Accepted(
            request_id=id_,
            function="f",
            version="v1",
            trigger="http",
            source="test",
            event_id=str(number),
            subject=None,
            accepted_at_ms=DAY_MS,
            intake=Position(0, 0, number),
        ),
        Started(request_id=id_, function="f", delivery=delivery, executor="e#1", started_at_ms=DAY_MS),
        Ended(
            request_id=id_,
            function="f",
            delivery=delivery,
            status_code=StatusCode.OK,
            result=b"1",
            ended_at_ms=DAY_MS,
            log_lines=1,
        ),
    ]
    key = id_.encode()
    runs = [Record(RUNS.name, 0, 0, 0, DAY_MS, key, encode(each), ()) for each in entries]
    return [*runs[:2], Record(LOGS.name, 0, 0, 0, DAY_MS, key, orjson.dumps(told), ()), runs[2]]


USES: dict[str, Callable[[Path, Evidence], None]] = {"log": use_log, "history": use_history}


def main(use: str, fault: Fault, numbers: list[int], folder: Path) -> None:
    """Prints a line for each number: the number, and how that process ended."""
    for number in numbers:
        place = folder / str(number)
        place.mkdir()
        child = os.fork()
        if child == 0:
            _live(use, fault, number, place)
        _, status = os.waitpid(child, 0)
        print(number, os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201  # who started us reads it
        if os.waitstatus_to_exitcode(status) == NOT_REACHED:
            return


def _live(use: str, fault: Fault, number: int, place: Path) -> None:
    code = 1
    try:
        arm(FILES[use], number, fault)
        USES[use](place, Evidence(place / "evidence"))
        code = 0 if disarm() >= number else NOT_REACHED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], Fault[sys.argv[2]], [int(each) for each in sys.argv[3].split(",")], Path(sys.argv[4]))
