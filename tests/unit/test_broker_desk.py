from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.kafka.errors import BrokerError, JavaMissing, Unavailable
from tests import broker
from tests.broker_desk import BrokerDesk, ask


class Starter:
    """Counts what it starts and ends, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.started = 0
        self.ended = 0

    @contextlib.contextmanager
    def __call__(self, _data_dir: Path) -> Iterator[str]:
        self.started += 1
        if self.failure is not None:
            raise self.failure
        yield "127.0.0.1:1234"
        self.ended += 1


def test_all_workers_share_one_broker_that_nobody_starts_before_the_first_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    starter = Starter()
    monkeypatch.setattr(broker, "any_kafka", starter)
    desk = BrokerDesk()
    assert starter.started == 0
    assert {ask(desk.address) for _ in range(3)} == {"127.0.0.1:1234"}
    assert (starter.started, starter.ended) == (1, 0)
    desk.close()
    assert starter.ended == 1
    assert not Path(desk.address).parent.exists()


@pytest.mark.parametrize(("failure", "told"), [(JavaMissing(), Unavailable), (ValueError("a defect"), BrokerError)])
def test_a_broker_that_cannot_be_had_is_tried_once_and_told_to_all(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, told: type[BrokerError]
) -> None:
    starter = Starter(failure)
    monkeypatch.setattr(broker, "any_kafka", starter)
    desk = BrokerDesk()
    for _ in range(2):
        with pytest.raises(told, match=str(failure).splitlines()[0]) as caught:
            ask(desk.address)
        assert isinstance(caught.value, Unavailable) is (told is Unavailable)
    assert starter.started == 1
    desk.close()
