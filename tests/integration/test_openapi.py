"""/openapi.json, and that a real gateway does what it says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from processor.core.request_id import request_id
from tests.integration.gateway_rig import Rig, accepted, ended, running, started

RUN = request_id("resize", "test", "1")
#: Streams that have no end of their own have their own tests.
STREAMS = ("/v1/runs/changes",)
#: A cursor or a path of the host cannot be described so well that every one is good; OPTIONS is no unsupported method.
EXCLUDED = ("positive_data_acceptance", "unsupported_method")


class Served:
    """A gateway with one ended run, on an event loop in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._up = threading.Event()
        self._over = asyncio.Event()
        self.url = ""

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._up.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)
        self._loop.close()

    async def _serve(self) -> None:
        async with running(self._folder) as rig:
            await _prepare(rig)
            self.url = rig.gateway.url
            self._up.set()
            await self._over.wait()


async def _prepare(rig: Rig) -> None:
    rig.write(accepted(RUN), started(RUN), ended(RUN, lines=2))
    rig.log(RUN, 1, 2)
    await rig.until_recorded(RUN, "FINISHED")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture(scope="module")
def schema(served: Served) -> Any:
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json")


def explore(schema: Any, mode: GenerationMode, examples: int) -> int:
    """Returns how many requests were answered as the document says; fails with the first that was not."""
    answered = 0
    excluded: Any = CHECKS.get_by_names(EXCLUDED)
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        nothing = not (operation.query or operation.body)
        if operation.path in STREAMS or (nothing and mode is GenerationMode.NEGATIVE):
            continue  # what takes no more than a name cannot be asked wrongly

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Case[Any]) -> None:
            nonlocal answered
            if case.query.get("follow") == "1":
                case.query["follow"] = "0"  # of a run that is unknown yet it waits, as it should
            if "wait" in case.query:
                case.query["wait"] = 0
            case.call_and_validate(excluded_checks=excluded, timeout=20)
            answered += 1

        check()
    return answered


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_a_real_gateway_answers_as_its_document_says(schema: Any, mode: GenerationMode) -> None:
    assert explore(schema, mode, 3) > 3 * 10


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_a_real_gateway_answers_as_its_document_says_many_times(schema: Any, mode: GenerationMode) -> None:
    assert explore(schema, mode, 60) > 60 * 10
