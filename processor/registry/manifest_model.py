"""The shape of functions.yaml: what a function is. Its triggers are in manifest_triggers/. Only `manifest*` know
pydantic.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from processor.core.function import NAME
from processor.registry.manifest_shape import (
    ENV_NAME,
    EXACTLY_ONE,
    Duration,
    Shape,
    Text,
    checked,
    mistake,
    one_of,
)
from processor.registry.manifest_triggers.folder import FolderTrigger
from processor.registry.manifest_triggers.http import CloudEventsTrigger, HttpTrigger
from processor.registry.manifest_triggers.kafka import KafkaTrigger
from processor.registry.manifest_triggers.schedule import ScheduleTrigger
from processor.registry.manifest_triggers.storage import StorageTrigger
from processor.registry.quantities import MEMORY_PATTERN, RATE_PATTERN, memory_bytes, rate_per_sec

#: All kept versions of a function travel in one record of 2 MB.
_MAX_ENV_BYTES = 32_768


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
        if not ENV_NAME.fullmatch(name):
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


FunctionName = Annotated[
    str, AfterValidator(_function_name), Field(json_schema_extra={"pattern": f"^({NAME.pattern})$"})
]
Timeout = Annotated[float, Duration(low="1s", high="24h")]
QueueAge = Annotated[float, Duration(low="1s", high="30d")]
ClaimAhead = Annotated[float, Duration(low="0s", high="60s")]
Memory = Annotated[
    int, BeforeValidator(checked(memory_bytes)), WithJsonSchema({"type": "string", "pattern": MEMORY_PATTERN})
]
Rate = Annotated[
    float, BeforeValidator(checked(rate_per_sec)), WithJsonSchema({"type": "string", "pattern": RATE_PATTERN})
]


class EventEntry(Shape):
    model_config = ConfigDict(json_schema_extra=EXACTLY_ONE)

    cloudevents: CloudEventsTrigger | None = None
    folder: FolderTrigger | None = None
    http: HttpTrigger | None = None
    kafka: KafkaTrigger | None = None
    schedule: ScheduleTrigger | None = None
    storage: StorageTrigger | None = None

    @model_validator(mode="before")
    @classmethod
    def _exactly_one(cls, value: Any) -> Any:
        return one_of(cls, "kind of trigger")(value)


class FunctionEntry(Shape):
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


class ManifestDocument(Shape):
    version: Literal[1]
    functions: dict[FunctionName, FunctionEntry]
