"""Pure: the event of one firing, in each of its shapes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson

from processor.core.event import Event
from triggers.schedule.settings import Schedule

EVENT_TYPE = "schedule.due"
#: Of the id of a firing; any fixed UUID will do, but never another one: with it every time would get a new identity.
_NAMESPACE = uuid.UUID("7b0f2a52-5d0f-5c0e-9a3e-2d1c6a4f7e10")
#: What EventBridge puts into an account that has no number: twelve digits, which handlers may count.
_ACCOUNT, _REGION = "000000000000", "local"


def firing_of(schedule: Schedule, nominal_sec: int, *, missed_since_sec: int | None = None) -> Event:
    """The event of a nominal time. Its identity is a pure function of the schedule's id and that time.

    missed_since_sec: of a firing that stands for others that are left out; all of them came after this time.
    """
    event_id = uuid.uuid5(_NAMESPACE, f"{schedule.schedule_id}\n{rfc3339(nominal_sec)}")
    since = {} if missed_since_sec is None else {"missedsince": rfc3339(missed_since_sec)}
    return _event(schedule, str(event_id), rfc3339(nominal_sec), since)


def firing_by_hand(schedule: Schedule, unix_ms: int) -> Event:
    """The event of a firing that a person asked for: another identity each time."""
    return _event(schedule, str(uuid.uuid4()), rfc3339(unix_ms // 1000), {"firedby": "hand"})


def rfc3339(utc_sec: int) -> str:
    return f"{datetime.fromtimestamp(utc_sec, UTC).isoformat()[:19]}Z"


def jitter_of(schedule: Schedule, nominal_sec: int) -> float:
    """The same in every process: it delays a firing, and the others must not overtake it."""
    if not schedule.jitter_sec:
        return 0.0
    seed = uuid.uuid5(_NAMESPACE, f"jitter\n{schedule.schedule_id}\n{nominal_sec}").int
    return schedule.jitter_sec * (seed & 0xFFFF) / 0x10000


def _event(schedule: Schedule, event_id: str, time: str, extensions: Mapping[str, str]) -> Event:
    data = _SHAPES.get(schedule.event_format, _argument)(schedule, event_id, time)
    return Event(
        id=event_id,
        source=f"cron:{quote(schedule.schedule_id, safe='/.-_')}",
        type=EVENT_TYPE,
        subject=schedule.name,
        time=time,
        datacontenttype=None if data is None else "application/json",
        extensions=extensions,
        data=data,
    )


def _argument(schedule: Schedule, event_id: str, time: str) -> bytes | None:
    return None if schedule.argument is None else orjson.dumps(schedule.argument)


def _scf(schedule: Schedule, event_id: str, time: str) -> bytes:
    """Tencent SCF's timer trigger: `Time` is the nominal time in UTC, `Message` the argument as text."""
    return orjson.dumps(
        {"Type": "Timer", "TriggerName": schedule.name, "Time": time, "Message": _message(schedule.argument)}
    )


def _message(argument: Any) -> str:
    if argument is None:
        return ""
    return argument if isinstance(argument, str) else orjson.dumps(argument).decode()


def _aws(schedule: Schedule, event_id: str, time: str) -> bytes:
    """EventBridge's scheduled event. A mapping as argument is its detail, which AWS leaves empty."""
    return orjson.dumps(
        {
            "version": "0",
            "id": event_id,
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": _ACCOUNT,
            "time": time,
            "region": _REGION,
            "resources": [f"arn:aws:events:{_REGION}:{_ACCOUNT}:rule/{schedule.name}"],
            "detail": schedule.argument if isinstance(schedule.argument, dict) else {},
        }
    )


_SHAPES = {"scf": _scf, "aws": _aws}
