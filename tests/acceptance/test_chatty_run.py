"""A run that prints as fast as it can: it has its verdict, every line is there or counted, and others run meanwhile."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import orjson

from processor.core.loglines import lost_count
from tests.acceptance.dev_server import DevServer

MANIFEST = """
version: 1
functions:
  flood: {{handler: "talkative:flood", code: {code}}}
  talk: {{handler: "talkative:talk", code: {code}}}
"""
LINES = 300_000
READ_SEC = 40


def test_a_flood_of_lines_costs_neither_its_verdict_nor_anybody_else(tmp_path: Path) -> None:
    site = DevServer(tmp_path, MANIFEST.format(code=Path(__file__).parent.parent / "functions"))
    try:
        run = site.accepted("flood", orjson.dumps({"lines": LINES}))
        others = [site.accepted("talk", orjson.dumps({"name": "calm"})) for _ in range(5)]
        assert [site.end_of(each)["status"] for each in others] == ["FINISHED"] * 5
        ended = site.end_of(run)
        assert (ended["status"], ended["log_lines"]) == ("FINISHED", LINES)
        assert told_of(site, run) == LINES
    finally:
        site.stop()


def told_of(site: DevServer, run: str) -> int:
    """Lines, and those that a marker stands for. Followed to the end: the history may be behind."""
    count = 0
    with urllib.request.urlopen(f"http://127.0.0.1:{site.port}/v1/runs/{run}/logs?follow=1", timeout=READ_SEC) as log:
        for each in log:
            if each.startswith(b'data: {"seq"'):
                line = orjson.loads(each.removeprefix(b"data: "))
                count += lost_count(line["stream"], line["text"]) or 1
    return count
