"""How runs and functions look there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

RUNNING, FINISHED, FAILED, ABORTED = "RUNNING", "FINISHED", "FAILED", "ABORTED"
#: Kind of our trigger -> InvokeType.
_INVOKE_TYPES = {
    "storage": "COS",
    "folder": "COS",
    "kafka": "CKAFKA_TRIGGER",
    "schedule": "TRIGGER_TIMER",
    "cloudevents": "APIGW",
}
#: Some of our codes have no counterpart: they are the platform's doing.
_MEGABYTE = 1_048_576


def status_of(run: Mapping[str, Any]) -> str:
    """An event that waits is running there: what has been accepted has no other state."""
    return RUNNING if run["status"] == "QUEUED" else str(run["status"])


def invoke_type_of(run: Mapping[str, Any]) -> str:
    return _INVOKE_TYPES.get(run["trigger"] or "", "OTHERS")


def moment(text: str | None) -> str:
    """%Y-%m-%d %H:%M:%S.%f to the millisecond, in UTC; "" for none."""
    if text is None:
        return ""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def since(text: str) -> str:
    """The API's form of a time given as there. Raises ValueError."""
    at = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def async_event(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "InvokeRequestId": run["request_id"],
        "InvokeType": invoke_type_of(run),
        "Qualifier": "$LATEST",
        "Status": status_of(run),
        "StartTime": moment(run["started_at"] or run["accepted_at"]),
        "EndTime": moment(run["ended_at"]),
    }


def async_status(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Status": status_of(run),
        "StatusCode": run["status_code"] or 0,
        "InvokeRequestId": run["request_id"],
    }


def result(run: Mapping[str, Any], log: str) -> dict[str, Any]:
    """Of a synchronous invocation."""
    duration = run["duration_ms"] or 0
    failed = run["status"] != FINISHED
    return {
        "Log": log,
        "RetMsg": returned(run),
        "ErrMsg": message(run) if failed else "",
        "MemUsage": round((run["memory_mb"] or 0) * _MEGABYTE),
        "Duration": duration,
        "BillDuration": round(duration),
        "FunctionRequestId": run["request_id"],
        "InvokeResult": -1 if failed else 0,
    }


def only_id(request_id: str) -> dict[str, Any]:
    """Of an asynchronous one."""
    return {
        "Log": "",
        "RetMsg": "",
        "ErrMsg": "",
        "MemUsage": 0,
        "Duration": 0,
        "BillDuration": 0,
        "FunctionRequestId": request_id,
        "InvokeResult": 0,
    }


def returned(run: Mapping[str, Any]) -> str:
    return orjson.dumps(run.get("result")).decode() if run["status"] == FINISHED else ""


def message(run: Mapping[str, Any]) -> str:
    error = run["error"] or {}
    return f"{error.get('type', run['status'])}: {error.get('message', '')}"


def function_log(run: Mapping[str, Any], log: str) -> dict[str, Any]:
    codes = {FINISHED: 0, RUNNING: 1, "QUEUED": 1}
    return {
        "FunctionName": run["function"],
        "RetMsg": returned(run) or (message(run) if run["error"] else ""),
        "RequestId": run["request_id"],
        "StartTime": moment(run["started_at"] or run["accepted_at"]),
        "RetCode": codes.get(run["status"], -1),
        "InvokeFinished": int(run["ended_at"] is not None),
        "Duration": run["duration_ms"] or 0,
        "BillDuration": round(run["duration_ms"] or 0),
        "MemUsage": round((run["memory_mb"] or 0) * _MEGABYTE),
        "Log": log,
        "Level": "INFO" if run["error"] is None else "ERROR",
        "Source": "",
        "RetryNum": 0,
    }


def function(document: Mapping[str, Any]) -> dict[str, Any]:
    """Of ListFunctions."""
    return {
        "FunctionName": document["name"],
        "FunctionId": document["name"],
        "Namespace": "default",
        "Runtime": "Python3",
        "Type": "Event",
        "Status": "Active",
        "StatusDesc": "" if document["enabled"] else "disabled",
        "Description": "",
        "AsyncRunEnable": "TRUE" if document["async_execution"] else "FALSE",
        "TraceEnable": "TRUE",
        "Tags": [],
    }


def function_details(document: Mapping[str, Any]) -> dict[str, Any]:
    """Of GetFunction."""
    memory = document["memory_bytes"]
    return {
        **function(document),
        "Handler": document["handler"],
        "Timeout": round(document["timeout_sec"]),
        "MemorySize": round(memory / _MEGABYTE) if memory else 0,
        "FunctionVersion": "$LATEST",
        "Qualifier": "$LATEST",
        "AvailableStatus": "Available",
        "CodeInfo": "",
        "CodeSize": 0,
        "CodeResult": "success",
        "CodeError": "",
        "Environment": {"Variables": [{"Key": name, "Value": "***"} for name in document["env"]]},
        "Triggers": [
            {"Type": kind, "TriggerName": kind, "TriggerDesc": orjson.dumps(settings).decode(), "Enable": 1}
            for event in document["events"]
            for kind, settings in event.items()
        ],
        "Role": document["role"] or "",
    }
