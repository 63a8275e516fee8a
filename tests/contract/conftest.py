"""Each test of the contract runs over each transport; those of groups over both of Kafka's group protocols."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from processor.transport.abstract import Transport
from tests.contract.harness import EmbeddedHarness, Harness, KafkaHarness


@pytest.fixture(params=["embedded", pytest.param("kafka-consumer", marks=pytest.mark.kafka)])
def harness(request: pytest.FixtureRequest) -> Harness:
    if request.param == "embedded":
        return EmbeddedHarness(request.getfixturevalue("tmp_path"))
    return KafkaHarness(
        request.getfixturevalue("kafka_bootstrap"),
        request.getfixturevalue("topic_prefix"),
        "consumer" if request.param == "kafka-consumer" else "classic",
    )


@pytest.fixture
def transport(harness: Harness) -> Iterator[Transport]:
    with harness.open() as opened:
        yield opened
