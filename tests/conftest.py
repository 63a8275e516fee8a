"""The Kafka of the test session. tests/broker.py says where it comes from."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator

import pytest

from deploy.kafka.errors import Unavailable


@pytest.hookimpl(tryfirst=True)  # before -m "kafka" is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "kafka_bootstrap" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")


def pytest_collection_finish(session: pytest.Session) -> None:
    first = next((item for item in session.items if item.get_closest_marker("kafka")), None)
    if first is not None:
        from tests.broker import FIRST_TEST_LIMIT_SEC  # as below

        first.add_marker(pytest.mark.timeout(FIRST_TEST_LIMIT_SEC))


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a warm broker, one for the whole session: use `topic_prefix` for every name."""
    from tests.broker import any_kafka, unavailable  # unit tests need neither the Kafka clients nor Docker's

    data_dir = tmp_path_factory.mktemp("kafka")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, data_dir)
        try:
            servers = stack.enter_context(any_kafka(data_dir))
        except Unavailable as why:
            unavailable(why)
        yield servers


@pytest.fixture
def topic_prefix() -> str:
    """No two tests share a topic, a group or a transactional id."""
    return f"t{uuid.uuid4().hex[:12]}."
