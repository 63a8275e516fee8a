"""The sample functions of examples/ do what their manifest entries say, through a real installation."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from deploy.kafka.broker import free_ports
from processor.ops.processes import Role, headrace
from tests.acceptance.http_api import ask

ROOT = Path(__file__).parents[2]
READY_SEC = 40.0
WAIT_SEC = 60.0


def wait_for_run(environment: dict[str, str], function: str) -> dict[str, object]:
    deadline = time.monotonic() + WAIT_SEC
    while True:
        listed = orjson.loads(headrace(["runs", "ls", "--function", function, "-o", "json"], environment))
        if listed["runs"] and listed["runs"][0]["ended_at"]:
            run_id = listed["runs"][0]["request_id"]
            found: dict[str, object] = orjson.loads(headrace(["runs", "show", run_id, "-o", "json"], environment))
            return found
        assert time.monotonic() < deadline, f"no run of {function} has ended"
        time.sleep(0.2)


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[dict[str, str]]:
    port, listener = free_ports(2)
    environment = {"HEADRACE_GATEWAY__PORT": str(port), "HEADRACE_TRIGGERS__PORT": str(listener)}
    # A copy: the samples watch a folder beside their own, which may be somebody's.
    samples = shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    arguments = ["dev", "--functions", str(samples / "functions.yaml"), "--data", str(tmp_path / "data")]
    with Role([*arguments, "--no-open"], environment, tmp_path / "dev.log") as role:
        role.wait_for("ready dev", READY_SEC)
        yield environment


def test_the_sample_for_cloudevents_runs_once_for_an_event_that_is_sent_twice(dev: dict[str, str]) -> None:
    gateway = int(dev["HEADRACE_GATEWAY__PORT"])
    event = {"specversion": "1.0", "id": "1", "source": "/shops/7", "type": "com.example.order.paid"}
    body = orjson.dumps(event | {"data": {"order": 7}})
    structured = {"content-type": "application/cloudevents+json"}
    answers = [ask(gateway, "POST", "/v1/events", body, headers=structured) for _ in range(2)]
    assert [each.status for each in answers] == [202, 202]
    assert answers[0].document == answers[1].document
    assert wait_for_run(dev, "order-events")["result"] == {"shop": "/shops/7", "order": 7, "what": "paid"}
    listed = orjson.loads(headrace(["runs", "ls", "--function", "order-events", "-o", "json"], dev))
    assert [each["request_id"] for each in listed["runs"]] == answers[0].document["request_ids"]
    foreign = orjson.dumps(event | {"type": "com.example.invoice"})
    assert ask(gateway, "POST", "/v1/events", foreign, headers=structured).status == 404


def test_the_samples_behind_http_a_schedule_and_a_webhook_run(dev: dict[str, str]) -> None:
    listener = int(dev["HEADRACE_TRIGGERS__PORT"])
    order = b'{"lines": [{"price": 2.5, "count": 4}]}'
    assert ask(listener, "POST", "/shops/paris/orders", order).status == 202
    result = wait_for_run(dev, "orders")["result"]
    assert isinstance(result, dict)
    assert (result["shop"], result["total"]) == ("paris", 10.0)

    (schedule,) = orjson.loads(headrace(["triggers", "ls", "--function", "disk", "-o", "json"], dev))["triggers"]
    headrace(["triggers", "fire", schedule["id"]], dev)
    assert "used_percent" in str(wait_for_run(dev, "disk")["result"])

    assert ask(listener, "POST", "/storage/photos", orjson.dumps(upload())).status == 202
    result = wait_for_run(dev, "uploads")["result"]
    assert isinstance(result, dict)
    assert (result["object"], result["size"]) == ("photos/a b.png", 5)


def test_the_samples_that_read_topics_run_on_kafka(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    environment = {
        "HEADRACE_TRANSPORT": "kafka",
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "HEADRACE_KAFKA__TOPIC_PREFIX": topic_prefix,
        "HEADRACE_DATA_DIR": str(tmp_path / "data"),
        "HEADRACE_GATEWAY__PORT": str(port),
    }
    text = (ROOT / "examples" / "streams.yaml").read_text()
    topics = {"orders": f"{topic_prefix}source.orders", "s3-events": f"{topic_prefix}source.s3"}
    for name, real in topics.items():
        text = text.replace(f"topic: {name}", f"topic: {real}")
    text = text.replace("code: ", f"code: {ROOT}/examples/")
    (tmp_path / "streams.yaml").write_text(text)
    fill(kafka_bootstrap, topics)
    headrace(["topics", "init"], environment)
    roles = [Role(["start", name], environment, tmp_path / f"{name}.log") for name in ROLES]
    try:
        for name, role in zip(ROLES, roles, strict=True):
            role.wait_for(f"ready {name}", READY_SEC)
        headrace(["deploy", "--functions", str(tmp_path / "streams.yaml")], environment)
        result = wait_for_run(environment, "revenue")["result"]
        assert isinstance(result, dict)
        assert result["totals"] == {"tea": 3.5}
        result = wait_for_run(environment, "objects")["result"]
        assert isinstance(result, dict)
        assert result["object"] == "photos/a b.png"
    finally:
        for role in reversed(roles):
            role.stop()


ROLES = ("recorder", "dispatcher", "executor", "triggers", "gateway")


def fill(bootstrap: str, topics: dict[str, str]) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in topics.values()]).values():
        future.result(READY_SEC)
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topics["orders"], orjson.dumps({"product": "tea", "amount": 3.5}))
    producer.produce(topics["s3-events"], orjson.dumps(upload()))
    assert producer.flush(READY_SEC) == 0


def upload() -> dict[str, object]:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-11-24T10:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": "photos"},
            "object": {"key": "a+b.png", "size": 5, "eTag": "e", "sequencer": "0055AED6DCD90281E5"},
        },
    }
    return {"Records": [record]}
