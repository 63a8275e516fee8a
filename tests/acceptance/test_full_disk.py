"""A disk that fills up under `headrace dev`, and gets room again."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import pytest

from processor.core.run import Status
from processor.transport.embedded import EmbeddedTransport
from tests.acceptance.callers import starts, verdicts
from tests.acceptance.dev_server import DevServer
from tests.acceptance.http_api import Answer
from tests.disk import SmallDisk

FUNCTIONS = Path(__file__).parent.parent / "functions"
MANIFEST = """
version: 1
functions:
  work: {{handler: "journal:run", code: {code}, env: {{JOURNAL: "{journal}"}}}}
"""
LIMIT_SEC = 60.0
#: Refusals in a row of events of a few bytes: there is no room for anything.
FULL = 5


def event(size_bytes: int, sec: float = 0.0) -> bytes:
    return orjson.dumps({"sec": sec, "pad": "x" * size_bytes})


def fill(server: DevServer) -> dict[str, Answer]:
    """Sends events, ever smaller ones, until not even small ones are taken; returns the refusals by their keys."""
    refused: dict[str, Answer] = {}
    size_bytes, in_a_row, number = 200_000, 0, 0
    deadline = time.monotonic() + LIMIT_SEC
    while in_a_row < FULL:
        assert time.monotonic() < deadline, "the disk does not fill up"
        number += 1
        answer = server.invoke("work", event(size_bytes), idempotency_key=f"{number} {size_bytes}")
        if answer.status == 202:
            server.acknowledged.add(str(answer.document["request_id"]))
            in_a_row = 0
        else:
            refused[f"{number} {size_bytes}"] = answer
            in_a_row += size_bytes == 0
            size_bytes //= 4
    return refused


def size_of(key: str) -> int:
    """Of the event that had this key."""
    last = key.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


def await_line(journal: Path, request_id: str, word: str) -> None:
    """Blocks until the handler of the run has written it."""
    deadline = time.monotonic() + LIMIT_SEC
    while time.monotonic() < deadline:
        lines = journal.read_text().splitlines() if journal.exists() else []
        if any(line.startswith(request_id) and line.endswith(f" {word}") for line in lines):
            return
        time.sleep(0.05)
    raise AssertionError(f"no {word} of {request_id}")


@pytest.mark.timeout(150)
def test_a_full_disk_is_told_with_503_and_every_acknowledged_event_ends_once_there_is_room(
    small_disk: SmallDisk, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    server = DevServer(tmp_path, MANIFEST.format(code=FUNCTIONS, journal=journal), data=small_disk.path / "data")
    try:
        running = server.accepted("work", event(0, sec=3.0))
        await_line(journal, running, "start")
        refused = fill(server)
        await_line(journal, running, "end")  # its verdict cannot be written now
        refused["while it ended"] = server.invoke("work", event(0), idempotency_key="while it ended")
        for answer in refused.values():
            assert answer.problem == (503, "not-accepted", "the event was not accepted: database or disk is full")
            assert answer.headers["retry-after"] == "1"
            assert answer.document["request_id"]
        small_disk.resize(64)
        for key, answer in refused.items():  # as Retry-After says: the same event under the same key
            again = server.accepted("work", event(size_of(key)), idempotency_key=key)
            assert again == answer.document["request_id"]
        ended = [server.end_of(each) for each in server.acknowledged]
        assert {each["status"] for each in ended} == {"FINISHED"}
    finally:
        code = server.role.stop()
    assert code == 0
    with EmbeddedTransport(server.data / "log") as transport:
        ledger = verdicts(transport)
    assert running in server.acknowledged
    assert ledger.keys() == server.acknowledged
    assert {len(each) for each in ledger.values()} == {1}
    assert {each[0].status for each in ledger.values()} == {Status.FINISHED}
    assert starts(journal) == dict.fromkeys(server.acknowledged, 1)
