from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import orjson
from pydantic import AfterValidator, Field

from processor.core.cron import BadCron, Timetable, parse
from processor.registry.manifest_shape import Duration, Form, Shape, Text, mistake


def _cron(text: str) -> str:
    try:
        expression = parse(text)
    except BadCron as error:
        raise mistake(error.message, error.remedy) from error
    if not Timetable(expression, ZoneInfo("UTC")).fires:
        raise mistake("never fires", "name a day that its months (and years) have, such as 28 for February")
    return text


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise mistake("is not a time zone", "use an IANA name such as UTC or Europe/Paris") from error
    return name


def _json_value(value: Any) -> Any:
    try:
        orjson.dumps(value)
    except TypeError as error:
        raise mistake("is no JSON value", "use text, numbers of at most 64 bits, lists and mappings") from error
    return value


Grace = Annotated[float, Duration(low="0s", high="9m")]
Jitter = Annotated[float, Duration(low="0s", high="5m")]
ScheduleName = Annotated[
    str,
    Form(
        pattern=r"[A-Za-z][A-Za-z0-9_-]{0,99}",
        what="a name of a schedule",
        remedy="use letters, digits, - and _, at most 100; begin with a letter",
    ),
]


class ScheduleTrigger(Shape):
    cron: Annotated[Text, AfterValidator(_cron)] = Field(
        description='5, 6 (seconds first) or 7 (year last) fields, or a macro, in quotes: "0 2 * * *".'
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    name: ScheduleName | None = Field(
        None, description="Keeps the schedule the same one when its times are edited; TriggerName of the scf shape."
    )
    missed: Literal["skip", "last", "all"] = Field("last", description="What to do about times missed while down.")
    max_catchup: int = Field(100, ge=1, le=10_000, description="With missed: all, at most so many; the newest ones.")
    grace: Grace = Field("60s", validate_default=True, description="0s..9m. Late by up to this is not missed.")
    jitter: Jitter = Field("0s", validate_default=True, description="0s..5m. Fires later by up to this.")
    argument: Annotated[Any, AfterValidator(_json_value)] = Field(
        None, description="Any JSON value; becomes the event's data."
    )
    event_format: Literal["cloudevents", "data", "scf", "aws"] = Field(
        "cloudevents",
        description="What the handler gets: a CloudEvent, the argument alone, SCF's timer event, or EventBridge's "
        "scheduled event.",
    )
