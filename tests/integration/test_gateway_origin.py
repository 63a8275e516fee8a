"""A page of another site cannot make a browser change anything here."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.gateway_rig import Rig, running
from tests.integration.test_gateway_sync import synchronous

CHANGES = (
    "/v1/functions/resize/invocations",
    "/v1/functions/resize/pause",
    "/v1/bulk",
    "/v1/events",
    "/2015-03-31/functions/resize/invocations",
    "/console/functions/resize/pause",
)
ELSEWHERE: tuple[dict[str, str], ...] = (
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://test"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://evil.example", "x-forwarded-host": "evil.example"},
    {"origin": "http://t\u00e9st"},
)
OURS: tuple[dict[str, str], ...] = (
    {},
    {"sec-fetch-site": "same-origin"},
    {"origin": "http://test"},
    {"origin": "https://test"},
)


async def post(rig: Rig, path: str, headers: dict[str, str]) -> tuple[int, str]:
    reply = await rig.ask("POST", path, headers=list(headers.items()), body=b"{}")
    return reply.status, reply.json.get("type", "") if reply.body else ""


@pytest.mark.parametrize("path", CHANGES)
def test_what_a_page_of_another_site_sends_changes_nothing(tmp_path: Path, path: str) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            for headers in ELSEWHERE:
                assert await post(rig, path, headers) == (403, "urn:headrace:problem:other-origin"), headers
            assert rig.intake() == []

    asyncio.run(scenario())


def test_programs_and_pages_of_our_own_are_served(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            for headers in OURS:
                assert (await post(rig, CHANGES[0], headers))[0] == 202, headers

    asyncio.run(scenario())


def test_reading_is_for_every_page_since_no_other_site_sees_the_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            reply = await rig.ask("GET", "/v1/functions", headers=[("sec-fetch-site", "cross-site")])
            assert reply.status == 200
            assert not [name for name in reply.headers if name.startswith("access-control")]

    asyncio.run(scenario())


def test_who_does_not_want_to_wait_for_a_synchronous_function_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with synchronous(tmp_path) as rig:
            reply = await rig.invoke(b"{}", Prefer="wait=5, respond-async")
            assert (reply.status, list(reply.json)) == (202, ["request_id"])

    asyncio.run(scenario())


def test_no_browser_takes_the_log_of_a_run_for_a_page(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            run = (await rig.invoke()).json["request_id"]
            reply = await rig.ask("GET", f"/v1/runs/{run}/logs")
            assert reply.headers["x-content-type-options"] == "nosniff"

    asyncio.run(scenario())
