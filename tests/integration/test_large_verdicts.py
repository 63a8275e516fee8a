"""A verdict is written whatever its size: a run without one would stay open for as long as its executor lives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but its module forgets to export them
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from processor.core.run import Status, StatusCode
from processor.core.topics import RUNS
from processor.executor.service import ExecutorService
from processor.transport.abstract import Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from tests.integration.pipeline import Pipeline, pipeline


@pytest.fixture(params=["embedded", "kafka"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    if request.param == "embedded":
        made: Transport = EmbeddedTransport(tmp_path / "log")
    else:
        made = kafka(request.getfixturevalue("kafka_bootstrap"), request.getfixturevalue("topic_prefix"))
    with made:
        yield made


def kafka(bootstrap: str, prefix: str) -> KafkaTransport:
    return KafkaTransport(bootstrap_servers=bootstrap, topic_prefix=prefix)


def serve(line: Pipeline, **functions: str) -> ExecutorService:
    for name, handler in functions.items():
        line.deploy(name, f"bad:{handler}")
    line.dispatcher()
    return line.executor()


def assert_no_claim_is_left(line: Pipeline, executor: ExecutorService) -> None:
    """It departs only once everything of it is written."""
    executor.stop()
    assert executor.join(30)
    assert line.open_intents() == []


def test_what_is_too_large_to_be_told_ends_430_with_its_size_and_leaves_no_claim(
    transport: Transport, tmp_path: Path
) -> None:
    with pipeline(transport, tmp_path) as line:
        executor = serve(line, returns="returns_ten_megabytes", raises="raises_ten_megabytes", good="good")
        runs = [line.submit(name, 1, name) for name in ("returns", "raises", "good")]
        verdicts = line.wait_for_verdicts(runs)
        returned, raised, good = (verdicts[each] for each in runs)
        assert (returned.status_code, raised.status_code) == (StatusCode.HANDLER_RAISED, StatusCode.HANDLER_RAISED)
        assert returned.error is not None
        assert returned.error.type == "Function.ResponseSizeTooLarge"
        assert "10000002 bytes" in returned.error.message
        assert raised.error is not None
        assert (raised.error.type, raised.error.message[:3]) == ("ValueError", "xxx")
        assert good.status is Status.FINISHED
        assert_no_claim_is_left(line, executor)


@pytest.mark.parametrize("levels", [200, 300])
def test_a_result_nested_more_deeply_than_readers_can_follow_is_an_error_in_words(
    transport: Transport, tmp_path: Path, levels: int
) -> None:
    with pipeline(transport, tmp_path) as line:
        serve(line, deep="returns_a_deep_nest")
        run = line.submit("deep", {"levels": levels}, "deep")
        ended = line.wait_for_verdicts([run])[run]
        if levels == 200:
            assert ended.status is Status.FINISHED
        else:
            assert ended.error is not None
            assert (ended.status_code, ended.error.type) == (StatusCode.HANDLER_RAISED, "Runtime.MarshalError")


def test_where_the_ledger_takes_less_than_it_should_a_large_result_ends_430_and_holds_up_nobody(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    with kafka(kafka_bootstrap, topic_prefix) as transport, pipeline(transport, tmp_path) as line:
        limit_records(kafka_bootstrap, topic_prefix + RUNS.name, 100_000)
        executor = serve(line, large="returns_a_megabyte", good="good")
        runs = [line.submit(name, 1, name) for name in ("large", "good")]
        verdicts = line.wait_for_verdicts(runs)
        large, good = (verdicts[each] for each in runs)
        assert large.error is not None
        assert (large.status_code, large.error.type) == (StatusCode.HANDLER_RAISED, "Function.ResponseSizeTooLarge")
        assert good.status is Status.FINISHED
        assert_no_claim_is_left(line, executor)


def limit_records(bootstrap: str, topic: str, limit_bytes: int) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    entry = ConfigEntry("max.message.bytes", str(limit_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(30)
