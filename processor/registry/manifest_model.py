"""The shape of functions.yaml. Only this and `manifest*`, which reports its errors, know pydantic."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from processor.core.function import NAME
from processor.registry.quantities import (
    DURATION_PATTERN,
    MEMORY_PATTERN,
    RATE_PATTERN,
    BadQuantity,
    duration_sec,
    memory_bytes,
    rate_per_sec,
)

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: All kept versions of a function travel in one record of 2 MB.
_MAX_ENV_BYTES = 32_768
_CRON_FIELDS = (5, 6, 7)


def mistake(message: str, remedy: str) -> PydanticCustomError:
    """What every check of ours raises; `manifest` makes a Problem of it."""
    return PydanticCustomError("headrace", "{message}; {remedy}", {"message": message, "remedy": remedy})


def _quantity(parse: Callable[[object], float]) -> BeforeValidator:
    def check(value: object) -> float:
        try:
            return parse(value)
        except BadQuantity as error:
            raise mistake(error.message, error.remedy) from error

    return BeforeValidator(check)


def _between(low: str, high: str) -> Callable[[object], float]:
    def parse(value: object) -> float:
        return duration_sec(value, low=low, high=high)

    return parse


def _function_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise mistake(
            "is not a function name",
            "use letters, digits, - and _, at most 64; begin with a letter and end with a letter or digit",
        )
    return name


def _handler(written: str) -> str:
    """Also the forms of SCF (index.main_handler) and Lambda (src/app.handler)."""
    module, colon, target = written.partition(":")
    if not colon:
        module, _, target = written.rpartition(".")
    module = module.replace("/", ".")
    if not all(part.isidentifier() for part in (*module.split("."), *target.split("."))):
        raise mistake("names no callable", "write module:callable, such as app.images:thumbnail")
    return f"{module}:{target}"


def _env(env: dict[str, str]) -> dict[str, str]:
    for name, value in env.items():
        if not _ENV_NAME.fullmatch(name):
            raise mistake(
                f"has the name {name!r}, which is not one for an environment variable", "use letters, digits and _"
            )
        if "\0" in value:
            raise mistake(f"has a NUL character in {name}", "leave it out")
    if sum(len(name.encode()) + len(value.encode()) for name, value in env.items()) > _MAX_ENV_BYTES:
        raise mistake(f"has more than {_MAX_ENV_BYTES:,} bytes", "put large values into files of the code")
    return env


def _code(path: str) -> str:
    if "://" in path:
        raise mistake("is an address", "give a directory or a zip file on this machine")
    return path


def _cron(text: str) -> str:
    if text.startswith("@"):
        return text
    fields = len(text.split())
    if fields not in _CRON_FIELDS:
        raise mistake(
            f"has {fields} field{'s' * (fields != 1)}",
            'write 5 (minute hour day month weekday), 6 (seconds first) or 7 (year last), such as "0 2 * * *"',
        )
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


def _http_path(path: str) -> str:
    if not path.startswith("/") or any(mark in path for mark in "?# "):
        raise mistake("is not a path", "begin with / and leave out ?, # and spaces, such as /thumb")
    return path


Text = Annotated[str, Field(min_length=1)]
FunctionName = Annotated[
    str, AfterValidator(_function_name), Field(json_schema_extra={"pattern": f"^({NAME.pattern})$"})
]
HttpPath = Annotated[str, AfterValidator(_http_path)]

_DURATION_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"type": "number", "minimum": 0}]}
)
Timeout = Annotated[float, _quantity(_between("1s", "24h")), _DURATION_SCHEMA]
QueueAge = Annotated[float, _quantity(_between("1s", "30d")), _DURATION_SCHEMA]
ClaimAhead = Annotated[float, _quantity(_between("0s", "60s")), _DURATION_SCHEMA]
Memory = Annotated[int, _quantity(memory_bytes), WithJsonSchema({"type": "string", "pattern": MEMORY_PATTERN})]
Rate = Annotated[float, _quantity(rate_per_sec), WithJsonSchema({"type": "string", "pattern": RATE_PATTERN})]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)


class _Trigger(_Shape):
    event_format: Literal["data", "cloudevents"] = Field(
        "cloudevents", description="What the handler gets: the event's data alone, or the whole CloudEvent."
    )


class FolderTrigger(_Trigger):
    path: Text = Field(description="Folder to watch, relative to the manifest.")
    pattern: Text = Field("*", description='File names, such as "*.png" (in quotes).')


class HttpTrigger(_Trigger):
    path: HttpPath = Field(description="Path below the webhook listener.")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"


class KafkaSource(_Shape):
    topic: Text
    bootstrap_servers: Text | None = Field(None, description="Left out: the broker of this installation.")
    group: Text | None = Field(None, description="Consumer group; left out: one per function.")
    start: Literal["earliest", "latest"] = Field("latest", description="Where a group without offsets begins.")


class KafkaTrigger(KafkaSource, _Trigger):
    pass


class ScheduleTrigger(_Trigger):
    cron: Annotated[Text, AfterValidator(_cron)] = Field(description='5, 6 or 7 fields, in quotes: "0 2 * * *".')
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    missed: Literal["skip", "last", "all"] = Field("last", description="What to do about times missed while down.")
    argument: Annotated[Any, AfterValidator(_json_value)] = Field(
        None, description="Any JSON value; becomes the event's data."
    )


class SqsSource(_Shape):
    queue_url: Text
    region: Text | None = None


class WebhookSource(_Shape):
    path: HttpPath


def _one_of(kind: type[BaseModel], what: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, dict):
            known = [name for name in value if name in kind.model_fields]
            if len(value) != 1 or (known and value[known[0]] is None):
                choices = ", ".join(kind.model_fields)
                raise mistake(f"must have exactly one {what} with its settings", f"write one of {choices}")
        return value

    return check


_EXACTLY_ONE: dict[str, Any] = {"minProperties": 1, "maxProperties": 1}


class StorageSource(_Shape):
    model_config = ConfigDict(json_schema_extra=_EXACTLY_ONE)

    kafka: KafkaSource | None = None
    sqs: SqsSource | None = None
    webhook: WebhookSource | None = None

    @model_validator(mode="before")
    @classmethod
    def _exactly_one(cls, value: Any) -> Any:
        return _one_of(cls, "source")(value)


class StorageTrigger(_Trigger):
    bucket: Text
    events: list[Text] = Field(["ObjectCreated:*"], min_length=1)
    prefix: str = ""
    suffix: str = ""
    source: StorageSource = Field(description="How the notifications of the bucket get here.")


class EventEntry(_Shape):
    model_config = ConfigDict(json_schema_extra=_EXACTLY_ONE)

    folder: FolderTrigger | None = None
    http: HttpTrigger | None = None
    kafka: KafkaTrigger | None = None
    schedule: ScheduleTrigger | None = None
    storage: StorageTrigger | None = None

    @model_validator(mode="before")
    @classmethod
    def _exactly_one(cls, value: Any) -> Any:
        return _one_of(cls, "kind of trigger")(value)


class FunctionEntry(_Shape):
    handler: Annotated[str, AfterValidator(_handler)] = Field(
        description="module:callable; also index.main_handler and src/app.handler."
    )
    code: Annotated[Text, AfterValidator(_code)] = Field(
        ".", description="Directory or zip file, relative to the manifest."
    )
    async_execution: bool = Field(True, description="Fixed when the function is created.")
    timeout: Timeout = Field("15m", validate_default=True, description="1s..24h, such as 90s, 15m or 1h30m.")
    memory: Memory | None = Field(None, description="Such as 512Mi or 1Gi; more ends the run. Left out: no limit.")
    concurrency: int = Field(4, ge=1, le=100_000, description="Runs at once.")
    rate: Rate = Field("1000/s", validate_default=True, description="Accepted, such as 20/s, 100/m or 5/h.")
    max_queue_age: QueueAge | None = Field(None, description="1s..30d. Events that wait longer expire unstarted.")
    claim_ahead: ClaimAhead = Field(
        "1s", validate_default=True, description="0s..60s of work claimed ahead of free instances; 0 turns it off."
    )
    env: Annotated[dict[str, str], AfterValidator(_env)] = Field({}, description='Text only: SIZE: "256".')
    role: Text | None = None
    enabled: bool = True
    events: list[EventEntry] = Field([], description="What triggers the function.")


class ManifestDocument(_Shape):
    version: Literal[1]
    functions: dict[FunctionName, FunctionEntry]
