"""What `headrace config check` finds in the settings of triggers: what could never work is an error with a remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from processor.cli.app import run
from processor.cli.errors import Exit
from processor.registry.manifest import parse_entry
from processor.registry.problems import EntryInvalid

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/uploads"
SQS = {"queue_url": QUEUE}
LOGIN = {"mechanism": "SCRAM-SHA-256", "username": "u", "password_env": "P"}


def sqs(**more: Any) -> dict[str, Any]:
    return {"storage": {"bucket": "b", "source": {"sqs": SQS | more}}}


def storage(**more: Any) -> dict[str, Any]:
    return {"storage": {"bucket": "b", "source": {"sqs": SQS}} | more}


def kafka(**more: Any) -> dict[str, Any]:
    return {"kafka": {"topic": "t", "bootstrap_servers": "h:9092"} | more}


def secured(**security: Any) -> dict[str, Any]:
    return kafka(security=security)


def http(path: str) -> dict[str, Any]:
    return {"http": {"path": path}}


BAD = [
    (sqs(queue_url="nonsense"), "queue_url", "write all of it, such as https://sqs."),
    (sqs(queue_url="https://sqs.eu-west-1.amazonaws.com"), "queue_url", "write all of it"),
    (sqs(queue_url="arn:aws:sqs:eu-west-1:1:q"), "queue_url", "write all of it"),
    (sqs(queue_url="https://user:secret@host/1/q"), "queue_url", "write all of it"),
    (sqs(region="eu west"), "region", "such as eu-west-1"),
    (sqs(endpoint_url="minio:9000"), "endpoint_url", "http://HOST:PORT"),
    (storage(bucket="s3://photos"), "bucket", "write the name alone"),
    (storage(bucket="arn:aws:s3:::photos"), "bucket", "write the name alone"),
    (storage(bucket="my photos"), "bucket", "write the name alone"),
    (storage(events=["ObjectCreated"]), "events[0]", "ObjectCreated:*"),
    (storage(events=["s3:ObjectCreate:*"]), "events[0]", "did you mean s3:ObjectCreated:*?"),
    (storage(events=["objectcreated:Put"]), "events[0]", "did you mean ObjectCreated:*?"),
    (storage(suffix="*.png"), "suffix", "leave out the *"),
    (storage(prefix="in/*"), "prefix", "leave out the *"),
    (storage(prefix="in\n"), "prefix", "leave it out"),
    (storage(reconcile={"min_age": "2h", "max_age": "1h"}), "reconcile", "let min_age be less than max_age"),
    (storage(reconcile={"endpoint_url": "h"}), "endpoint_url", "http://HOST:PORT"),
    (kafka(bootstrap_servers="broker"), "bootstrap_servers", "host:port,host:port"),
    (kafka(bootstrap_servers="a:9092;b:9092"), "bootstrap_servers", "host:port,host:port"),
    (kafka(bootstrap_servers="a:9092,"), "bootstrap_servers", "host:port,host:port"),
    (kafka(bootstrap_servers="kafka://a:9092"), "bootstrap_servers", "host:port,host:port"),
    (kafka(bootstrap_servers="a:99999"), "bootstrap_servers", "host:port,host:port"),
    (kafka(topic="bad topic"), "topic", "use letters"),
    (kafka(topic=".."), "topic", "more than dots"),
    (kafka(group="a\nb"), "group", "leave it out"),
    (secured(protocol="SSL", **LOGIN), "security", "protocol: SASL_SSL"),
    (secured(protocol="SASL_PLAINTEXT", ca_file="ca.pem", **LOGIN), "security", "protocol: SASL_SSL"),
    (secured(protocol="SSL", key_file="k.pem"), "security", "certificate_file"),
    (secured(protocol="SASL_SSL", mechanism="GSSAPI"), "mechanism", "SCRAM-SHA-256"),
    ({"schedule": {"cron": "* * * * *", "name": "1st"}}, "name", "begin with a letter"),
    (http("/a/../b"), "path", "write the path that is called"),
    (http("/" + "a" * 2_048), "path", "at most 2,048 characters"),
    (http("/a\tb"), "path", "leave it out"),
    ({"folder": {"path": "in\0"}}, "path", "leave it out"),
]
GOOD = [
    sqs(endpoint_url="http://127.0.0.1:4566", region="us-east-1"),
    sqs(queue_url="http://127.0.0.1:4566/000000000000/uploads"),
    storage(bucket="account/container"),
    storage(bucket="photos-1250000000"),
    storage(bucket="$web"),
    storage(
        events=["s3:ObjectCreated:*", "cos:ObjectRemove:*", "OBJECT_FINALIZE", "Object Created", "*:Put", "Object*:*"]
    ),
    storage(events=["Microsoft.Storage.BlobCreated", "ObjectReplication:*"]),
    storage(prefix="in/*/a", suffix=".png"),
    kafka(bootstrap_servers="a_b.c-d:9092, [::1]:9093"),
    secured(protocol="SSL", ca_file="ca.pem", certificate_file="c.pem"),
    secured(protocol="SASL_SSL", ca_file="ca.pem", **LOGIN),
    http("/ü/{id}/a%20b"),
]


def parsed(event: dict[str, Any]) -> None:
    parse_entry("f", {"handler": "m:f", "events": [event]}, Path("/"))


@pytest.mark.parametrize(("event", "field", "remedy"), BAD, ids=lambda each: str(each)[:60])
def test_what_could_never_work_is_an_error_with_field_and_remedy(
    event: dict[str, Any], field: str, remedy: str
) -> None:
    with pytest.raises(EntryInvalid) as caught:
        parsed(event)
    (problem,) = caught.value.problems
    assert field in str(caught.value).partition(": ")[0]
    assert remedy in problem.remedy


@pytest.mark.parametrize("event", GOOD, ids=lambda each: str(each)[:60])
def test_what_can_work_is_taken(event: dict[str, Any]) -> None:
    parsed(event)


def test_config_check_names_file_line_field_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = json.dumps({"handler": "m:f", "events": [sqs(queue_url="nonsense")]})
    (tmp_path / "functions.yaml").write_text(f"version: 1\nfunctions:\n  f: {entry}\n")
    assert run(["config", "check"]) == Exit.USAGE
    said = capsys.readouterr().err
    assert "functions.yaml:3" in said
    assert "queue_url" in said
    assert "such as https://sqs." in said
