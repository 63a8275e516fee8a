"""/asyncapi.json: the topics, who writes them, and what their records look like. Made from the one table of topics."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from processor.core.topics import (
    CONTROL,
    FUNCTIONS,
    INFLIGHT,
    INSTANCES,
    INTAKE,
    LOGS,
    MAX_MESSAGE_BYTES,
    QUEUE_PARTITIONS,
    QUEUES,
    REJECTED,
    RUNS,
    SCHEDULES,
    TOPICS,
    TRIGGERS,
    Keep,
    Topic,
    queue_topic,
)

_ABOUT = """The log that the roles share. `intake` is open to other producers: CloudEvents 1.0, binary or structured,
with the function's name in the extension attribute `function`; partition by RequestId or anything else. All other
topics are written by Headrace alone; `runs` and `logs` are good to read. Every append may come twice. An
installation's prefix stands before each name.
"""
QUEUE = "queue"
_CLEANUP = {
    Keep.UNTIL_CONSUMED: ["delete"],
    Keep.DELETE: ["delete"],
    Keep.COMPACT: ["compact"],
    Keep.COMPACT_DELETE: ["compact", "delete"],
}
_STRING: dict[str, Any] = {"type": "string"}
_INTEGER: dict[str, Any] = {"type": "integer"}
_NUMBER: dict[str, Any] = {"type": "number"}
_BOOLEAN: dict[str, Any] = {"type": "boolean"}
_ANY: dict[str, Any] = {}
_MS: dict[str, Any] = {"type": "integer", "description": "Unix milliseconds."}
_DELIVERY: dict[str, Any] = {"type": "string", "description": "Place in the queue: topic/partition/offset."}


def _maybe(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


def _object(kind: str = "", **members: Any) -> dict[str, Any]:
    """All members are there; newer versions may add some."""
    named = {"type": {"const": kind}, **members} if kind else members
    return {"type": "object", "required": list(named), "properties": named}


_RUN: dict[str, Any] = {"request_id": _STRING, "function": _STRING}
_CLOUDEVENT = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": _STRING,
        "source": _STRING,
        "type": _STRING,
        "function": {"type": "string", "description": "For which function it is."},
        "data": _ANY,
    },
}
_ERROR = {**_object(type=_STRING, message=_STRING, stack=_STRING), "type": ["object", "null"]}

#: name -> (what it says, the schema of its value)
RECORDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "event": ("An event, as a CloudEvent in the JSON format.", _CLOUDEVENT),
    "accepted": (
        "A run was accepted and is queued.",
        _object(
            "accepted", **_RUN, version=_STRING, trigger=_STRING, source=_STRING, event_id=_STRING,
            subject=_maybe(_STRING), accepted_at_ms=_MS,
            intake={"type": "array", "items": _INTEGER, "description": "Partition, leader epoch, offset."},
        ),
    ),
    "started": (
        "An executor has claimed the delivery and starts it.",
        _object("started", **_RUN, delivery=_DELIVERY, executor=_STRING, started_at_ms=_MS),
    ),
    "ended": (
        "A verdict: the first one of a delivery in the order of the log holds.",
        _object(
            "ended", status=_STRING, **_RUN, delivery=_maybe(_DELIVERY), status_code=_INTEGER, error=_ERROR,
            result=_ANY, executor=_STRING, instance=_STRING, cold_start=_BOOLEAN, started_at_ms=_maybe(_MS),
            ended_at_ms=_MS, duration_ms=_maybe(_NUMBER), memory_mb=_maybe(_NUMBER), log_lines=_INTEGER,
        ),
    ),
    "lines": (
        "Some lines of a delivery, in order: [seq, stream, level, Unix milliseconds, text].",
        _object(**_RUN, delivery=_STRING, lines={"type": "array", "items": {"type": "array", "minItems": 5}}),
    ),
    "progress": (
        "How far a delivery says it is: [0 to 1, text, Unix milliseconds]. The last one holds.",
        _object(progress={"type": "array", "minItems": 3}, **_RUN, delivery=_STRING),
    ),
    "intent": (
        "[executor, RequestId, function, delivery, batch]: a claim that is open until its tombstone.",
        {"type": "array", "minItems": 5},
    ),
    "sign": (
        "[kind, process, role, Unix milliseconds, more]: a heartbeat, or the mark of one who is dead.",
        {"type": "array", "minItems": 4, "prefixItems": [{"enum": ["heartbeat", "dead"]}, _STRING, _STRING, _INTEGER]},
    ),
    "opened": ("The first owner of a queue partition, as text.", _STRING),
    "function": (
        "A function as it is deployed; or the number of a creation that was deleted.",
        {"type": "object", "anyOf": [{"required": ["name", "current"]}, {"required": ["deleted_creation"]}]},
    ),
    "settled": ("The last nominal time that a schedule was fired for, or passed over.", _object(last=_STRING)),
    "trigger": ("What is asked of triggers and what they tell; the key says which. A tombstone ends it.", _ANY),
    "cancel": ("Somebody wants this run ended.", _object("cancel", grace_sec=_NUMBER, by=_STRING)),
    "drain": ("Somebody wants this executor to claim no more, and to end.", _object("drain", by=_STRING)),
    "rejected": ("The bytes as they came; headers say the reason and the origin.", _ANY),
}  # fmt: skip

#: topic -> (its records, who writes them, who reads them)
_USES: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    INTAKE.name: (("event",), "gateway, triggers, other producers", "dispatcher"),
    RUNS.name: (("accepted", "started", "ended"), "dispatcher, executor, recovery", "recorder, gateway, recovery"),
    LOGS.name: (("lines", "progress"), "executor", "recorder, gateway"),
    INFLIGHT.name: (("intent",), "executor", "recovery"),
    INSTANCES.name: (("sign",), "executor, gateway, recovery", "executor, gateway, recovery"),
    QUEUES.name: (("opened",), "executor", "executor, recovery"),
    FUNCTIONS.name: (("function",), "gateway", "every role"),
    SCHEDULES.name: (("settled",), "triggers", "triggers"),
    TRIGGERS.name: (("trigger",), "gateway, triggers", "gateway, triggers"),
    CONTROL.name: (("cancel", "drain"), "gateway", "executor"),
    REJECTED.name: (("rejected",), "dispatcher, triggers", "gateway"),
    QUEUE: (("event",), "dispatcher", "executor"),
}


def document() -> dict[str, Any]:
    """AsyncAPI 3.0."""
    topics = {topic.name: topic for topic in TOPICS}
    topics[QUEUE] = queue_topic("queue.{function}.{creation}", QUEUE_PARTITIONS)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Headrace topics", "version": version("headrace"), "description": _ABOUT},
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, topic) for name, topic in topics.items()},
        "operations": {f"send_{name}": _operation(name) for name in topics},
        "components": {"messages": {name: _message(name, *record) for name, record in RECORDS.items()}},
    }


def _channel(name: str, topic: Topic) -> dict[str, Any]:
    records, writers, readers = _USES[name]
    configuration: dict[str, Any] = {"cleanup.policy": _CLEANUP[topic.keep], "max.message.bytes": MAX_MESSAGE_BYTES}
    if topic.retention_ms is not None or topic.keep is Keep.UNTIL_CONSUMED:
        configuration["retention.ms"] = -1 if topic.retention_ms is None else topic.retention_ms
    channel = {
        "address": topic.name,
        "description": f"Key: {topic.key}. Kept: {topic.keep.value}. Written by {writers}; read by {readers}.",
        "messages": {each: {"$ref": f"#/components/messages/{each}"} for each in records},
        "bindings": {"kafka": {"partitions": topic.partitions, "topicConfiguration": configuration}},
    }
    if name == QUEUE:
        channel["parameters"] = {
            "function": {"description": "Name of the function."},
            "creation": {"description": "Counts how often a function of this name was created."},
        }
    return channel


def _operation(name: str) -> dict[str, Any]:
    records, writers, _ = _USES[name]
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": f"Written by {writers}.",
        "messages": [{"$ref": f"#/channels/{name}/messages/{each}"} for each in records],
    }


def _message(name: str, about: str, payload: dict[str, Any]) -> dict[str, Any]:
    content_type = "application/cloudevents+json" if name == "event" else "application/json"
    return {"name": name, "summary": about, "contentType": content_type, "payload": payload}
