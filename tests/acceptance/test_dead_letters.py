"""Pausing a trigger and redriving a dead letter, every role a process of its own on a real broker. The small version
of this, in one process, is tests/integration/{test_trigger_control,test_rejected}.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from processor.core.request_id import request_id
from processor.core.topics import INTAKE
from processor.transport.kafka import KafkaTransport
from tests.acceptance.kafka_site import ROLES, Site
from tests.waiting import until

FUNCTIONS = Path(__file__).parent.parent / "functions"
LIMIT_SEC = 40.0
MANIFEST = """
version: 1
functions:
  {name}:
    handler: journal:run
    code: {code}
    env: {{JOURNAL: "{journal}"}}
    events:
      - folder: {{path: {uploads}, event_format: data}}
"""


@pytest.fixture
def site(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(kafka_bootstrap, topic_prefix, tmp_path)
    with ExitStack() as stack:
        stack.callback(made.stop)
        made.command("topics", "init")
        for name in ROLES:
            made.start(name)
        deploy(made, "work")
        yield made


def deploy(site: Site, name: str) -> None:
    manifest = site.folder / f"{name}.yaml"
    names = {"name": name, "code": FUNCTIONS, "journal": site.journal, "uploads": site.uploads}
    manifest.write_text(MANIFEST.format(**names))
    site.command("deploy", "--functions", str(manifest))


def ask(site: Site, *arguments: str) -> Any:
    return json.loads(site.command(*arguments, "-o", "json"))


def send_for(site: Site, function: str) -> None:
    """As a foreign producer."""
    headers = {"specversion": b"1.0", "id": b"7", "source": b"/shop", "type": b"order", "function": function.encode()}
    with KafkaTransport(bootstrap_servers=site.bootstrap, topic_prefix=site.prefix) as transport:
        producer = transport.producer()
        named = [(f"ce_{name}", value) for name, value in headers.items()]
        producer.append(INTAKE.name, b"{}", headers=[*named, ("content-type", b"application/json")])
        producer.flush(LIMIT_SEC)
        producer.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_paused_folder_keeps_its_files_although_the_process_is_killed_and_a_dead_letter_runs_after_all(
    site: Site,
) -> None:
    (trigger,) = [each["id"] for each in ask(site, "triggers", "ls")["triggers"]]
    until(lambda: bool(ask(site, "triggers", "show", trigger)["state"] == "watching"))
    assert ask(site, "triggers", "pause", trigger)["state"] == "paused"
    site.kill("triggers")
    (site.uploads / "a").write_text("{}")
    site.start("triggers")
    until(lambda: len(ask(site, "triggers", "show", trigger)["replicas"]) == 2)  # one of them is dead, and paused too
    send_for(site, "later")
    run = request_id("later", "/shop", "7")
    until(lambda: len(ask(site, "rejected", "ls")["rejected"]) == 1)
    (letter,) = ask(site, "rejected", "ls")["rejected"]
    assert "no function is named 'later'" in letter["reason"]
    assert not any(each["trigger"] == "folder" for each in ask(site, "runs", "ls")["runs"])
    assert ask(site, "triggers", "resume", trigger)["paused"] is False
    until(lambda: any(each["trigger"] == "folder" for each in ask(site, "runs", "ls")["runs"]))
    deploy(site, "later")
    (redriven,) = ask(site, "rejected", "redrive", letter["id"])["rejected"]
    assert redriven["request_id"] == run
    until(lambda: bool(ask(site, "runs", "show", run)["status"] == "FINISHED"))
    assert ask(site, "rejected", "ls")["rejected"] == []
