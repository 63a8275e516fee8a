"""What a user is told about every kind of bad input: the exact words, through real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from processor.core.rejected import rejection_of
from processor.core.topics import INTAKE, REJECTED
from processor.ops.processes import Role, headrace
from processor.transport.abstract import Record
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from tests.acceptance.callers import verdicts
from tests.acceptance.dev_server import READY_SEC, DevServer

FUNCTIONS = Path(__file__).parent.parent / "functions"
COMMAND_SEC = 30.0
MANIFEST = f"""
version: 1
functions:
  good: {{handler: "bad:good", code: {FUNCTIONS}}}
  closed: {{handler: "bad:good", code: {FUNCTIONS}, enabled: false}}
  raises: {{handler: "bad:raises", code: {FUNCTIONS}}}
  exits-0: {{handler: "bad:exits_0", code: {FUNCTIONS}}}
  exits-3: {{handler: "bad:exits_3", code: {FUNCTIONS}}}
  crashes: {{handler: "bad:crashes", code: {FUNCTIONS}}}
  returns-a-set: {{handler: "bad:returns_a_set", code: {FUNCTIONS}}}
  loops: {{handler: "bad:loops", code: {FUNCTIONS}, timeout: 1s}}
  no-module: {{handler: "nowhere:handler", code: {FUNCTIONS}}}
  no-callable: {{handler: "bad:nothing", code: {FUNCTIONS}}}
  bad-import: {{handler: "raises_on_import:handler", code: {FUNCTIONS}}}
  bad-syntax: {{handler: "typo:handler", code: CODE}}
"""

#: function -> (status code, error type, error message, log lines)
ENDS: dict[str, tuple[int, str, str, list[str]]] = {
    "raises": (430, "ValueError", "no such order: 4711", ["about to raise"]),
    "exits-0": (439, "Runtime.ExitError", "exit status 0", ["about to leave"]),
    "exits-3": (439, "Runtime.ExitError", "exit status 3", ["about to leave"]),
    "crashes": (439, "Runtime.ExitError", "signal: segmentation fault", ["about to crash"]),
    "returns-a-set": (
        430,
        "Runtime.MarshalError",
        "Unable to marshal response: Type is not JSON serializable: set",
        [],
    ),
    "loops": (433, "Sandbox.Timeout", "Task timed out after 1.00 seconds", ["about to loop"]),
    "no-module": (437, "ModuleNotFoundError", "No module named 'nowhere'", []),
    "no-callable": (437, "Runtime.HandlerNotFound", "Handler 'nothing' missing on module 'bad'", []),
    "bad-import": (437, "RuntimeError", "no configuration", ["about to fail"]),
    "bad-syntax": (437, "SyntaxError", "expected ':' (typo.py, line 1)", []),
}


def manifest(folder: Path) -> str:
    """With a module that no tool could read, so it is not among the files of the project."""
    (folder / "code").mkdir()
    (folder / "code" / "typo.py").write_text("def handler(event, context)\n")
    return MANIFEST.replace("CODE", str(folder / "code"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    folder = tmp_path_factory.mktemp("bad input")
    made = DevServer(folder, manifest(folder))
    yield made
    made.stop()


def recorded(server: DevServer) -> set[str]:
    """The runs in the history, once it has all that were acknowledged: it is some milliseconds behind."""
    deadline = time.monotonic() + COMMAND_SEC
    while True:
        page = server.ask("GET", "/v1/runs?limit=500").document
        assert page["cursor"] is None
        runs = {each["request_id"] for each in page["runs"]}
        if runs >= server.acknowledged:
            return runs
        assert time.monotonic() < deadline, server.acknowledged - runs
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------------ refused over HTTP

REFUSED: dict[str, tuple[str, bytes, dict[str, str], tuple[int, str, str]]] = {
    "an unknown function": ("nobody", b"{}", {}, (404, "unknown-function", "no function is named 'nobody'")),
    "a disabled function": (
        "closed",
        b"{}",
        {},
        (409, "function-disabled", "function 'closed' is disabled and takes no new events"),
    ),
    "a body that is not JSON": (
        "good",
        b'{"a": nope}',
        {"content_type": "application/json"},
        (400, "bad-request", "the body is not JSON: invalid literal, expected 'null' at byte 6"),
    ),
    "a body over 1 MB": (
        "good",
        b'"%s"' % (b"x" * 1_000_000),
        {},
        (413, "too-large", "the body has 1,000,002 bytes; the limit is 1,000,000"),
    ),
    "a binary CloudEvent without its source": (
        "good",
        b"{}",
        {"ce_specversion": "1.0", "ce_id": "1", "ce_type": "t"},
        (400, "bad-request", "attribute 'source' is missing: every event needs a non-empty source"),
    ),
    "a CloudEvent of another version": (
        "good",
        b"{}",
        {"ce_specversion": "0.3", "ce_id": "1", "ce_source": "s", "ce_type": "t"},
        (400, "bad-request", "attribute 'specversion' is '0.3': only '1.0' is understood"),
    ),
    "a structured CloudEvent that is not JSON": (
        "good",
        b"{",
        {"content_type": "application/cloudevents+json"},
        (400, "bad-request", "the event is not valid JSON: unexpected end of data: line 1 column 2 (char 1)"),
    ),
    "a structured CloudEvent that is no object": (
        "good",
        b"[]",
        {"content_type": "application/cloudevents+json"},
        (400, "bad-request", "the event must be a JSON object with the CloudEvents attributes as members"),
    ),
    "a structured CloudEvent with a number for its id": (
        "good",
        b'{"specversion": "1.0", "id": 7, "source": "s", "type": "t"}',
        {"content_type": "application/cloudevents+json"},
        (400, "bad-request", "attribute 'id' must be a non-empty string, not 7"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_accepted_is_refused_in_words_and_leaves_no_run(server: DevServer, case: str) -> None:
    function, body, headers, expected = REFUSED[case]
    refused = server.invoke(function, body, **headers)
    assert refused.problem == expected
    assert "request_id" not in refused.document
    server.end_of(server.accepted("good"))
    assert recorded(server) == server.acknowledged


def test_a_key_that_comes_again_with_another_body_is_refused_and_its_run_goes_on(server: DevServer) -> None:
    first = server.accepted("good", b'{"order": 1}', idempotency_key='"order-1"')
    other = server.invoke("good", b'{"order": 2}', idempotency_key='"order-1"')
    detail = "the Idempotency-Key 'order-1' was used with another body before"
    assert other.problem == (422, "idempotency-key-reused", detail)
    assert server.accepted("good", b'{"order": 1}', idempotency_key='"order-1"') == first
    assert server.end_of(first)["result"] == {"order": 1}


# ------------------------------------------------------------------------------------------------- what handlers do


@pytest.mark.parametrize("function", ENDS)
def test_a_handler_that_ends_badly_is_told_exactly_and_a_good_one_runs_after_it(
    server: DevServer, function: str
) -> None:
    code, kind, message, lines = ENDS[function]
    run = server.end_of(server.accepted(function))
    error = run["error"]
    assert (run["status"], run["status_code"], error["type"], error["message"]) == ("FAILED", code, kind, message)
    assert run["result"] is None
    logged = headrace(["logs", run["request_id"]], {"HEADRACE_GATEWAY__PORT": str(server.port)})
    assert logged.splitlines() == lines
    assert server.end_of(server.accepted("good", b'{"n": 1}'))["result"] == {"n": 1}


def test_the_stack_of_an_exception_shows_the_users_frames_only(server: DevServer) -> None:
    stack = server.end_of(server.accepted("raises"))["error"]["stack"]
    assert stack.startswith("Traceback (most recent call last):\n")
    assert stack.endswith("ValueError: no such order: 4711\n")
    assert stack.count("File ") == 1
    assert "in raises" in stack


def test_every_acknowledged_event_has_one_run_and_one_verdict_whatever_its_handler_did(tmp_path: Path) -> None:
    server = DevServer(tmp_path, manifest(tmp_path))
    try:
        kinds = ["good", *ENDS] * 5
        acknowledged = [server.accepted(each) for each in kinds]
        for request_id in acknowledged:
            server.end_of(request_id)
        assert recorded(server) == set(acknowledged)
    finally:
        server.stop()
    with EmbeddedTransport(tmp_path / "data" / "log") as transport:
        ended = verdicts(transport)
    assert len(set(acknowledged)) == len(kinds)
    assert ended.keys() == set(acknowledged)
    assert {request_id: len(each) for request_id, each in ended.items()} == dict.fromkeys(acknowledged, 1)
    expected = {"good": 200} | {name: code for name, (code, *_) in ENDS.items()}
    assert [ended[each][0].status_code for each in acknowledged] == [expected[kind] for kind in kinds]


# ------------------------------------------------------------------------------------------------------ manifests

TEN_MISTAKES = """\
version: 1
functions:
  thumbnail:
    handler: thumbnail
    timeout: 25h
    memory: 512
    concurrency: 0
    rate: 20
    env: {DEBUG: on}
    retry: 3
    enabled: "yes"
    events:
      - schedule: {cron: "* *"}
    timeout: 1h
"""
TEN_LINES = [
    "headrace: functions.yaml:4: functions.thumbnail.handler: 'thumbnail' names no callable; "
    "write module:callable, such as app.images:thumbnail",
    "functions.yaml:5: functions.thumbnail.timeout: '25h' is longer than 24h; use 1s..24h",
    "functions.yaml:6: functions.thumbnail.memory: '512' is not a memory size; "
    "write a number and a unit, such as 512Mi or 1Gi",
    "functions.yaml:7: functions.thumbnail.concurrency: '0' is out of range; use at least 1",
    "functions.yaml:8: functions.thumbnail.rate: '20' is not a rate; "
    "write a number per unit of time, such as 20/s, 100/m or 5/h",
    "functions.yaml:9: functions.thumbnail.env.DEBUG: 'on' must be text; this is true or false; put it in quotes",
    "functions.yaml:10: functions.thumbnail.retry: '3' is not known here; leave it out: a started run is never "
    "repeated",
    "functions.yaml:11: functions.thumbnail.enabled: 'yes' must be true or false; this is text; "
    "write true or false without quotes",
    "functions.yaml:13: functions.thumbnail.events[0].schedule.cron: '* *' has 2 fields; write 5 (minute hour day "
    'month weekday), 6 (seconds first) or 7 (year last), such as "0 2 * * *"',
    "functions.yaml:14: functions.thumbnail.timeout: appears twice (first on line 5); keep one of them",
    "  -> Correct the lines above; nothing was changed.",
]


@pytest.mark.parametrize("command", [["config", "check"], ["deploy"], ["dev"]])
def test_a_manifest_with_ten_mistakes_shows_ten(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "functions.yaml").write_text(TEN_MISTAKES)
    done = subprocess.run(
        [sys.executable, "-m", "processor", *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(FUNCTIONS.parents[1])},
        capture_output=True,
        text=True,
        timeout=COMMAND_SEC,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == TEN_LINES


# --------------------------------------------------------------------------------- foreign producers on a Kafka topic

UNREADABLE: dict[str, tuple[list[tuple[str, bytes]], bytes | None, str]] = {
    "no CloudEvent": (
        [],
        b"hello",
        "the record is no CloudEvent: send headers ce_specversion, ce_id, ce_source and ce_type, "
        "or content-type application/cloudevents+json with the whole event as the value",
    ),
    "binary without an id": (
        [("ce_specversion", b"1.0"), ("ce_source", b"shop"), ("ce_type", b"order")],
        b"{}",
        "attribute 'id' is missing: every event needs a non-empty id",
    ),
    "structured and cut off": (
        [("content-type", b"application/cloudevents+json")],
        b'{"specversion": "1.0", "id": "1"',
        "the event is not valid JSON: unexpected end of data: line 1 column 33 (char 32)",
    ),
    "structured without a value": (
        [("content-type", b"application/cloudevents+json")],
        None,
        "the record has no value: in structured mode the value holds the whole event as JSON",
    ),
    "no function named": (
        [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"shop"), ("ce_type", b"order")],
        b"{}",
        "the event names no function: set the extension attribute 'function'",
    ),
}


def test_what_is_no_event_on_intake_goes_to_rejected_as_it_came_with_its_reason(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    environment = {
        "HEADRACE_TRANSPORT": "kafka",
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "HEADRACE_KAFKA__TOPIC_PREFIX": topic_prefix,
        "HEADRACE_DATA_DIR": str(tmp_path / "data"),
    }
    headrace(["topics", "init"], environment)
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "partitioner": "random"})
    for headers, value, _ in UNREADABLE.values():
        producer.produce(topic_prefix + INTAKE.name, value, headers=list(headers), partition=0)
    assert producer.flush(COMMAND_SEC) == 0
    with Role(["start", "dispatcher"], environment, tmp_path / "dispatcher.log") as role:
        role.wait_for("ready dispatcher", READY_SEC)
        with KafkaTransport(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix) as transport:
            rejected = read_some(transport, REJECTED.name, len(UNREADABLE))
    for number, (record, (headers, value, reason)) in enumerate(zip(rejected, UNREADABLE.values(), strict=True)):
        kept = rejection_of(record.value, record.headers)
        assert (record.value, kept.reason, kept.origin) == (value, reason, f"intake/0/{number}")
        assert list(kept.headers) == list(headers)


def read_some(transport: KafkaTransport, topic: str, count: int) -> list[Record]:
    """Blocks until there are so many."""
    reader = transport.reader()
    try:
        reader.assign(dict.fromkeys(reader.partitions(topic, COMMAND_SEC), 0))
        records: list[Record] = []
        deadline = time.monotonic() + COMMAND_SEC
        while len(records) < count:
            assert time.monotonic() < deadline, f"only {records} came"
            records += reader.poll(count, 0.5)
        return records
    finally:
        reader.close()
