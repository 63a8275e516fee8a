"""What stands on the topic `schedules`: the key is the schedule's id, the value up to which time it is settled."""

from __future__ import annotations

from datetime import datetime

import orjson

from processor.core.errors import Undecodable
from triggers.schedule.firing import rfc3339

#: Key of the records that a process reads back to know that it has read everything before them. No schedule has it.
BARRIER_KEY = b"-"


def encode_settled(time_sec: int) -> bytes:
    return orjson.dumps({"last": rfc3339(time_sec)})


def decode_settled(value: bytes) -> int:
    """Unix seconds. Raises Undecodable."""
    try:
        return int(datetime.fromisoformat(orjson.loads(value)["last"]).timestamp())
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise Undecodable(f"not the state of a schedule: {error!r}") from error
