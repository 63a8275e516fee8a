"""What a handler is given: its event, its context, its environment."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from processor.executor import sandbox
from processor.executor.abstract import FunctionCode
from processor.executor.runtime import linux
from processor.executor.runtime.context import Context, facts_of
from processor.executor.runtime.event import event_for_handler

CODE = FunctionCode(
    name="thumbs",
    version="v7",
    handler="app:run",
    code_dir=Path("/code"),
    timeout_sec=3.0,
    memory_bytes=128 * 1024 * 1024,
    env={"MODE": "x", "PATH": "/own", "PYTHONPATH": "/lib", "TMPDIR": "/forged", "TZ": "Asia/Shanghai"},
)
PARENT = {"PATH": "/bin", "HEADRACE_X": "secret", "LANG": "de_DE.UTF-8", "AWS_SESSION_TOKEN": "secret"}


def binary(data: bytes, content_type: str | None) -> bytes:
    return json.dumps({"data_base64": base64.b64encode(data).decode(), "datacontenttype": content_type}).encode()


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (b'{"id":"1","data":{"a":[1]}}', {"a": [1]}),
        (b'{"id":"1","data":"plain"}', "plain"),
        (b'{"id":"1","data":null}', None),
        (b'{"id":"1"}', {}),
        (binary(b"\x00\xff", "image/png"), b"\x00\xff"),
        (binary(b"\x00\xff", None), b"\x00\xff"),
        (binary(b'{"a":1}', "application/json; charset=utf-8"), {"a": 1}),
        (binary("né".encode(), "text/plain"), "né"),
    ],
)
def test_the_event_is_the_data_of_the_cloudevent(payload: bytes, event: Any) -> None:
    assert event_for_handler(payload, "data") == event


def test_the_event_is_the_whole_cloudevent_where_that_was_asked_for() -> None:
    assert event_for_handler(b'{"id":"1","data":2}', "cloudevents") == {"id": "1", "data": 2}


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b'{"data_base64":1}', b'{"data_base64":"?"}', binary(b"{", "application/json")]
)
def test_a_payload_that_is_no_event_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        event_for_handler(payload, "data")


def test_the_environment_has_no_more_of_the_executor_than_is_named() -> None:
    env = sandbox.environment(CODE, "/scratch/z", PARENT)
    assert "secret" not in str(env)
    assert env["LANG"] == "de_DE.UTF-8"


def test_a_function_may_change_defaults_but_not_reserved_names() -> None:
    env = sandbox.environment(CODE, "/scratch/z", PARENT)
    assert (env["MODE"], env["PATH"], env["TZ"]) == ("x", "/own", "Asia/Shanghai")
    assert (env["TMPDIR"], env["PYTHONPATH"]) == ("/scratch/z", "/code:/lib")
    assert env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "128"


def context(**head: Any) -> Context:
    facts = facts_of(sandbox.environment(CODE, "/scratch/z", PARENT))
    head = {"id": "r1", "timeout": 3.0, "ends": linux.boottime() + 3.0, "meta": None, **head}
    return Context(facts, head, lambda fraction, message: None)


def test_the_context_is_a_mapping_and_has_attributes() -> None:
    made = context()
    assert made["request_id"] == made.aws_request_id == "r1"
    assert made["function_name"] == made.function_name == "thumbs"
    assert made["function_version"] == made.function_version == "v7"
    assert made["memory_limit_in_mb"] == made.memory_limit_in_mb == 128
    assert made["time_limit_in_ms"] == 3000
    assert json.loads(made["environment"]) == {"SCF_NAMESPACE": "default"}
    assert json.loads(json.dumps(made))["namespace"] == "default"


def test_the_remaining_time_is_never_negative() -> None:
    assert 0 < context().get_remaining_time_in_millis() <= 3000
    assert context(ends=0.0).get_remaining_time_in_millis() == 0


def test_a_context_can_carry_more_and_cannot_change_the_next_one() -> None:
    made = context(meta={"client_context": {"a": 1}})
    assert made.client_context == {"a": 1}
    made["function_name"] = "changed"
    assert context().function_name == "thumbs"
