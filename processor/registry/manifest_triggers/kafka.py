from __future__ import annotations

import contextlib
import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from processor.registry.manifest_shape import Duration, EnvName, Form, Shape, Text, mistake

_SERVER = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?):([0-9]{1,5})")
_MAX_PORT = 65_535
_UNIX_MS_DIGITS = 15


def _servers(text: str) -> str:
    """aiokafka would take what it cannot read for a host, and look for it for ever."""
    for each in text.split(","):
        found = _SERVER.fullmatch(each.strip())
        if found is None or not 0 < int(found[1]) <= _MAX_PORT:
            raise mistake(f"has {each.strip()[:80]!r}, which is not HOST:PORT", "write brokers as host:port,host:port")
    return text


def _not_dots(name: str) -> str:
    if name in (".", ".."):
        raise mistake("is not a topic of Kafka", "name it with more than dots")
    return name


def _start(value: object) -> str:
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


Servers = Annotated[Text, AfterValidator(_servers)]
TopicName = Annotated[
    Text,
    Form(
        pattern=r"[a-zA-Z0-9._-]{1,249}",
        what="a topic of Kafka",
        remedy="use letters, digits, ., - and _, at most 249",
    ),
    AfterValidator(_not_dots),
]
GroupName = Annotated[Text, Field(max_length=255)]
Start = Annotated[str, BeforeValidator(_start), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})]
MaxWait = Annotated[float, Duration(low="0s", high="5m")]


class KafkaSecurity(Shape):
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
        login = (self.mechanism, self.username, self.password_env)
        files = (self.ca_file, self.certificate_file, self.key_file, self.key_password_env)
        if self.protocol.startswith("SASL") and not all(login):
            raise mistake("is not complete", "with SASL, write mechanism, username and password_env")
        if not self.protocol.startswith("SASL") and any(login):
            raise mistake("has a login, which protocol SSL does not send", "write protocol: SASL_SSL, or no login")
        if not self.protocol.endswith("SSL") and any(files):
            raise mistake("has TLS files, which SASL_PLAINTEXT does not use", "write protocol: SASL_SSL, or no files")
        if self.certificate_file is None and (self.key_file or self.key_password_env):
            raise mistake("has a key without its certificate", "write certificate_file too, or neither")
        return self


class KafkaSource(Shape):
    topic: TopicName
    bootstrap_servers: Servers | None = Field(None, description="Left out: the broker of this installation.")
    group: GroupName | None = Field(None, description="Consumer group; left out: one for this function and topic.")
    start: Start = Field("latest", description="Where a group without offsets begins: latest, earliest, or a time.")
    security: KafkaSecurity | None = Field(
        None, description="SASL and TLS of bootstrap_servers; without those, the installation's own count."
    )

    @model_validator(mode="after")
    def _security_has_servers(self) -> KafkaSource:
        if self.security is not None and self.bootstrap_servers is None:
            raise mistake("has security without bootstrap_servers", "write both, or neither")
        return self


class KafkaTrigger(KafkaSource):
    event_format: Literal["data", "cloudevents", "scf", "aws"] = Field(
        "cloudevents", description="What the handler gets; scf and aws: the events of those platforms."
    )
    value: Literal["auto", "json", "text", "base64"] = Field(
        "auto", description="What the records' values are; auto takes the first of json, text, base64 that fits."
    )
    max_records: int = Field(1, ge=1, le=10_000, description="Records of one event; more than 1 makes batches.")
    max_wait: MaxWait = Field("1s", validate_default=True, description="0s..5m a batch waits until it is full.")
