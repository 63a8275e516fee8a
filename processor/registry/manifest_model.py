"""The shape of functions.yaml. Only this and `manifest*`, which reports its errors, know pydantic."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from processor.core.cron import BadCron, Timetable, parse
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
_KAFKA_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_UNIX_MS_DIGITS = 15
_HTTP_METHODS = ("ANY", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PATH_PARAMETER = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]{0,63})\}")


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


def _http_path(path: str) -> str:
    if not path.startswith("/") or any(mark in path for mark in "?# "):
        raise mistake("is not a path", "begin with / and leave out ?, # and spaces, such as /thumb")
    return path


def _path_template(path: str) -> str:
    names = []
    for part in _http_path(path).split("/"):
        named = _PATH_PARAMETER.fullmatch(part)
        if named is not None:
            names.append(named[1])
        elif "{" in part or "}" in part:
            raise mistake("has a brace inside a part", "let a parameter be a whole part, such as /orders/{id}")
    if len(set(names)) < len(names):
        raise mistake("names a parameter twice", "give each its own name, such as /shops/{shop}/orders/{order}")
    return path


def _methods(value: Any) -> Any:
    """A list in any case."""
    methods = value if isinstance(value, list) else [value]
    if not methods or any(each not in _HTTP_METHODS for each in methods):
        raise mistake("is no HTTP method", f"write one of {', '.join(_HTTP_METHODS)}, or a list of them")
    return methods


def _env_name(name: str) -> str:
    if not _ENV_NAME.fullmatch(name):
        raise mistake("is not the name of an environment variable", "use letters, digits and _, such as HOOK_TOKEN")
    return name


def _kafka_topic(name: str) -> str:
    if not _KAFKA_TOPIC.fullmatch(name) or name in (".", ".."):
        raise mistake("is not a topic of Kafka", "use letters, digits, ., - and _, at most 249")
    return name


def _kafka_start(value: object) -> str:
    """Also Unix milliseconds, as SCF has them."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str):
        if text in ("latest", "earliest") or (text.isdecimal() and len(text) <= _UNIX_MS_DIGITS):
            return text
        with contextlib.suppress(ValueError):
            if datetime.fromisoformat(text).tzinfo is not None:
                return text
    raise mistake(
        "is no place to start", "write latest, earliest, or a time with its zone, such as 2026-01-31T08:00:00Z"
    )


Text = Annotated[str, Field(min_length=1)]
EnvName = Annotated[str, AfterValidator(_env_name)]
KafkaStart = Annotated[
    str, BeforeValidator(_kafka_start), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
]
FunctionName = Annotated[
    str, AfterValidator(_function_name), Field(json_schema_extra={"pattern": f"^({NAME.pattern})$"})
]
HttpPath = Annotated[str, AfterValidator(_http_path)]
PathTemplate = Annotated[str, AfterValidator(_path_template)]
_METHOD_SCHEMA = {"enum": [*_HTTP_METHODS]}
Methods = Annotated[
    list[str],
    BeforeValidator(_methods),
    WithJsonSchema({"anyOf": [_METHOD_SCHEMA, {"type": "array", "items": _METHOD_SCHEMA, "minItems": 1}]}),
]

_DURATION_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"type": "number", "minimum": 0}]}
)
Timeout = Annotated[float, _quantity(_between("1s", "24h")), _DURATION_SCHEMA]
Settle = Annotated[float, _quantity(_between("0s", "1h")), _DURATION_SCHEMA]
QueueAge = Annotated[float, _quantity(_between("1s", "30d")), _DURATION_SCHEMA]
MaxWait = Annotated[float, _quantity(_between("0s", "5m")), _DURATION_SCHEMA]
Visibility = Annotated[float, _quantity(_between("1s", "12h")), _DURATION_SCHEMA]
SignatureWindow = Annotated[float, _quantity(_between("1s", "1h")), _DURATION_SCHEMA]
ReconcileEvery = Annotated[float, _quantity(_between("1m", "7d")), _DURATION_SCHEMA]
ObjectAge = Annotated[float, _quantity(_between("0s", "29d")), _DURATION_SCHEMA]
ClaimAhead = Annotated[float, _quantity(_between("0s", "60s")), _DURATION_SCHEMA]
Grace = Annotated[float, _quantity(_between("0s", "9m")), _DURATION_SCHEMA]
Jitter = Annotated[float, _quantity(_between("0s", "5m")), _DURATION_SCHEMA]
Memory = Annotated[int, _quantity(memory_bytes), WithJsonSchema({"type": "string", "pattern": MEMORY_PATTERN})]
Rate = Annotated[float, _quantity(rate_per_sec), WithJsonSchema({"type": "string", "pattern": RATE_PATTERN})]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)


class _Trigger(_Shape):
    event_format: Literal["data", "cloudevents"] = Field(
        "cloudevents", description="What the handler gets: the event's data alone, or the whole CloudEvent."
    )


class FolderTrigger(_Shape):
    path: Text = Field(description="Folder to watch, relative to the manifest.")
    pattern: Text = Field("*", description='File names, such as "*.png" (in quotes).')
    settle: Settle | None = Field(
        None, description="0s..1h a file must be unchanged after a close, for writers that close and go on."
    )
    event_format: Literal["cloudevents", "data", "scf", "aws"] = Field(
        "cloudevents", description="What the handler gets; scf: the event of COS, aws: that of S3, with the path added."
    )


class HttpTrigger(_Shape):
    path: PathTemplate = Field(description="Path of the webhook listener, such as /orders or /orders/{id}.")
    method: Methods = Field("POST", validate_default=True, description="One method, several, or ANY.")
    token_env: EnvName | None = Field(
        None, description="Environment variable of the triggers role with the bearer token that callers must send."
    )
    event_format: Literal["cloudevents", "data", "scf", "aws"] = Field(
        "cloudevents",
        description="What the handler gets: a CloudEvent, the body alone, or the event of an API gateway "
        "(scf: Tencent's; aws: HTTP API payload 2.0).",
    )


class CloudEventsTrigger(_Trigger):
    """Events that come to POST /v1/events and name no function."""

    type: Text = Field("*", description='Events of this type; * and ? stand for any text: "com.example.order.*".')
    source: Text = Field("*", description='Events of this source, with * and ? as above: "/shop/*".')


class KafkaSecurity(_Shape):
    protocol: Literal["SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(None, description="With SASL.")
    username: Text | None = None
    password_env: EnvName | None = Field(None, description="Environment variable of the triggers role; never a secret.")
    ca_file: Text | None = Field(None, description="PEM; left out: the certificates of the system.")
    certificate_file: Text | None = Field(None, description="PEM, where the broker wants to know its clients.")
    key_file: Text | None = None
    key_password_env: EnvName | None = None
    verify_hostname: bool = True

    @model_validator(mode="after")
    def _complete(self) -> KafkaSecurity:
        if self.protocol.startswith("SASL") and not (self.mechanism and self.username and self.password_env):
            raise mistake("is not complete", "with SASL, write mechanism, username and password_env")
        return self


class KafkaSource(_Shape):
    topic: Annotated[Text, AfterValidator(_kafka_topic)]
    bootstrap_servers: Text | None = Field(None, description="Left out: the broker of this installation.")
    group: Text | None = Field(None, description="Consumer group; left out: one for this function and topic.")
    start: KafkaStart = Field(
        "latest", description="Where a group without offsets begins: latest, earliest, or a time."
    )
    security: KafkaSecurity | None = Field(
        None, description="SASL and TLS of bootstrap_servers; without those, the installation's own count."
    )

    @model_validator(mode="after")
    def _security_has_servers(self) -> KafkaSource:
        if self.security is not None and self.bootstrap_servers is None:
            raise mistake("has security without bootstrap_servers", "write both, or neither")
        return self


class KafkaTrigger(KafkaSource, _Trigger):
    event_format: Literal["data", "cloudevents", "scf", "aws"] = Field(  # type: ignore[assignment]  # two more shapes
        "cloudevents", description="What the handler gets; scf and aws: the events of those platforms."
    )
    value: Literal["auto", "json", "text", "base64"] = Field(
        "auto", description="What the records' values are; auto takes the first of json, text, base64 that fits."
    )
    max_records: int = Field(1, ge=1, le=10_000, description="Records of one event; more than 1 makes batches.")
    max_wait: MaxWait = Field("1s", validate_default=True, description="0s..5m a batch waits until it is full.")


class ScheduleTrigger(_Shape):
    cron: Annotated[Text, AfterValidator(_cron)] = Field(
        description='5, 6 (seconds first) or 7 (year last) fields, or a macro, in quotes: "0 2 * * *".'
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,99}$")] | None = Field(
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


class AwsAccess(_Shape):
    """Where a service of AWS, or one like it, is found. Keys left out: boto3 finds them as it always does."""

    region: Text | None = None
    endpoint_url: Text | None = Field(None, description="Of anything but AWS: MinIO, VersityGW, a test server.")
    access_key_env: EnvName | None = Field(None, description="Environment variable with the access key id.")
    secret_key_env: EnvName | None = Field(None, description="Environment variable with the secret key.")

    @model_validator(mode="after")
    def _both_keys(self) -> AwsAccess:
        if (self.access_key_env is None) != (self.secret_key_env is None):
            raise mistake("names half of a pair of keys", "write access_key_env and secret_key_env, or neither")
        return self


class SqsSource(AwsAccess):
    queue_url: Text
    pollers: int = Field(4, ge=1, le=16, description="Long polls at once.")
    visibility: Visibility | None = Field(
        None, description="How long a message taken stays hidden, 1s..12h. Left out: as the queue has it."
    )


class WebhookSource(_Shape):
    path: HttpPath
    token_env: EnvName | None = Field(None, description="Environment variable with the bearer token of the sender.")
    hmac_env: EnvName | None = Field(
        None, description="Environment variable with the secret of the header Headrace-Signature."
    )
    window: SignatureWindow = Field("5m", validate_default=True, description="1s..1h a signature holds.")


class Reconcile(AwsAccess):
    every: ReconcileEvery | None = Field(None, description="1m..7d. Left out: only when `headrace triggers fire` asks.")
    min_age: ObjectAge = Field(
        "5m", validate_default=True, description="Younger objects are left out: they may still be announced."
    )
    max_age: ObjectAge = Field(
        "7d", validate_default=True, description="Older ones too; at most 29d, as long as the history keeps runs."
    )


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


class StorageTrigger(_Shape):
    bucket: Text
    events: list[Text] = Field(["ObjectCreated:*"], min_length=1, description="Names of changes; * is any text.")
    prefix: str = ""
    suffix: str = ""
    provider: Literal["aws", "minio", "versitygw", "ceph", "rustfs", "gcs", "azure", "cos"] | None = Field(
        None, description="Left out: told by each notification."
    )
    key_encoding: Literal["form", "percent", "none"] | None = Field(
        None, description="How the notifications write keys; left out: as the provider does."
    )
    alias: Text | None = Field(
        None, description="Stands for the store in the events' source; left out: s3, gcs, azure or cos."
    )
    source: StorageSource = Field(description="How the notifications of the bucket get here.")
    reconcile: Reconcile | None = Field(None, description="Finds objects whose notification got lost.")
    event_format: Literal["cloudevents", "data", "scf", "aws"] = Field(
        "cloudevents", description="What the handler gets; scf: the event of COS, aws: that of S3."
    )

    @model_validator(mode="after")
    def _can_be_listed(self) -> StorageTrigger:
        if self.reconcile is not None and self.provider == "azure":
            raise mistake("has reconcile, which lists with the S3 API; azure has none", "leave reconcile out")
        return self


class EventEntry(_Shape):
    model_config = ConfigDict(json_schema_extra=_EXACTLY_ONE)

    cloudevents: CloudEventsTrigger | None = None
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
