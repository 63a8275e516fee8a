"""The Kafka of the test session. tests/broker.py says where it comes from."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Generator, Iterator

import pytest

from deploy.kafka.errors import Unavailable


@pytest.hookimpl(tryfirst=True)  # before -m "kafka" is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "kafka_bootstrap" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")


_BROKER_STARTED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before the time limit is read
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """The first test of this process with a broker pays for its start. Which one that is, is known only now."""
    if item.get_closest_marker("kafka") and not item.config.stash.get(_BROKER_STARTED, False):
        from tests.broker import FIRST_TEST_LIMIT_SEC  # as below

        item.config.stash[_BROKER_STARTED] = True
        item.add_marker(pytest.mark.timeout(FIRST_TEST_LIMIT_SEC), append=False)
    return (yield)


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
