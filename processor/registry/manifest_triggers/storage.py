from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from processor.registry.manifest_shape import (
    EXACTLY_ONE,
    Duration,
    EnvName,
    Form,
    Line,
    Shape,
    Text,
    mistake,
    one_of,
)
from processor.registry.manifest_triggers.http import HttpPath
from processor.registry.manifest_triggers.kafka import KafkaSource

#: What stands before the colon in S3's names of changes, and in those of the stores that write such names.
_FAMILIES = (
    "ObjectCreated",
    "ObjectRemoved",
    "ObjectRemove",
    "ObjectRestore",
    "ObjectTagging",
    "ObjectAcl",
    "ObjectAccessed",
    "LifecycleExpiration",
)
_VENDORS = ("s3:", "cos:")


def _change(pattern: str) -> str:
    """Any name that a store may write is allowed; what is nearly one of S3's would never fit."""
    vendor = next((each for each in _VENDORS if pattern.startswith(each)), "")
    family, colon, _ = pattern.removeprefix(vendor).partition(":")
    if family in _FAMILIES and not colon:
        raise mistake("fits no change", f"write {vendor}{family}:* for all of that kind")
    near = difflib.get_close_matches(family, _FAMILIES, n=1, cutoff=0.8)
    if colon and family not in _FAMILIES and near and "*" not in family and "?" not in family:
        raise mistake("fits no change", f"did you mean {vendor}{near[0]}:*?")
    return pattern


def _plain_prefix(text: str) -> str:
    if text.endswith("*"):
        raise mistake("is no pattern, but the beginning of keys", "leave out the *")
    return text


def _plain_suffix(text: str) -> str:
    if text.startswith("*"):
        raise mistake("is no pattern, but the end of keys", "leave out the *")
    return text


BucketName = Annotated[
    Text,
    Form(
        pattern=r"(?:[A-Za-z0-9._-]{1,63}[/:])?[$A-Za-z0-9._-]{1,222}",
        what="the name of a bucket",
        remedy="write the name alone, such as photos; with Azure also account/container",
    ),
]
ChangePattern = Annotated[Text, AfterValidator(_change)]
Region = Annotated[
    Text,
    Form(pattern=r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", what="a region", remedy="write its short name, such as eu-west-1"),
]
Endpoint = Annotated[
    Text,
    Form(
        pattern=r"https?://[^/\s?#@]+(/[^\s?#]*)?",
        what="the address of a service",
        remedy="write http://HOST:PORT or https://HOST",
    ),
]
QueueUrl = Annotated[
    Text,
    Form(
        pattern=r"https?://[^/\s?#@]+/[^\s?#]+",
        what="the address of a queue",
        remedy="write all of it, such as https://sqs.eu-west-1.amazonaws.com/123456789012/uploads",
    ),
]
Visibility = Annotated[float, Duration(low="1s", high="12h")]
SignatureWindow = Annotated[float, Duration(low="1s", high="1h")]
ReconcileEvery = Annotated[float, Duration(low="1m", high="7d")]
ObjectAge = Annotated[float, Duration(low="0s", high="29d")]


class AwsAccess(Shape):
    """Where a service of AWS, or one like it, is found. Keys left out: boto3 finds them as it always does."""

    region: Region | None = None
    endpoint_url: Endpoint | None = Field(None, description="Of anything but AWS: MinIO, VersityGW, a test server.")
    access_key_env: EnvName | None = Field(None, description="Environment variable with the access key id.")
    secret_key_env: EnvName | None = Field(None, description="Environment variable with the secret key.")

    @model_validator(mode="after")
    def _both_keys(self) -> AwsAccess:
        if (self.access_key_env is None) != (self.secret_key_env is None):
            raise mistake("names half of a pair of keys", "write access_key_env and secret_key_env, or neither")
        return self


class SqsSource(AwsAccess):
    queue_url: QueueUrl
    pollers: int = Field(4, ge=1, le=16, description="Long polls at once.")
    visibility: Visibility | None = Field(
        None, description="How long a message taken stays hidden, 1s..12h. Left out: as the queue has it."
    )


class WebhookSource(Shape):
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

    @model_validator(mode="after")
    def _leaves_some(self) -> Reconcile:
        if self.min_age >= self.max_age:
            raise mistake("leaves out all objects", "let min_age be less than max_age")
        return self


class StorageSource(Shape):
    model_config = ConfigDict(json_schema_extra=EXACTLY_ONE)

    kafka: KafkaSource | None = None
    sqs: SqsSource | None = None
    webhook: WebhookSource | None = None

    @model_validator(mode="before")
    @classmethod
    def _exactly_one(cls, value: Any) -> Any:
        return one_of(cls, "source")(value)


class StorageTrigger(Shape):
    bucket: BucketName
    events: list[ChangePattern] = Field(
        ["ObjectCreated:*"], min_length=1, description="Names of changes; * is any text."
    )
    prefix: Annotated[Line, AfterValidator(_plain_prefix)] = ""
    suffix: Annotated[Line, AfterValidator(_plain_suffix)] = ""
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
