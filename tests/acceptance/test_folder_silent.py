"""`headrace dev` while one of its watched folders hangs, like a network mount whose server has gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.dev_server import DevServer
from tests.hanging_folder import hanging_folder
from tests.waiting import until

FUNCTIONS = Path(__file__).parent.parent / "functions"
MANIFEST = """
version: 1
functions:
  hung:
    handler: files:arrived
    code: {code}
    env: {{JOURNAL: "{journal}"}}
    events: [folder: {{path: "{hung}", event_format: data}}]
  files:
    handler: files:arrived
    code: {code}
    env: {{JOURNAL: "{journal}"}}
    events: [folder: {{path: "{inbox}", event_format: data}}]
  timed:
    handler: workloads:echo
    code: {code}
    events: [schedule: {{cron: "* * * * * *"}}]
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_everything_else_goes_on_while_a_folder_hangs_and_so_does_the_end(tmp_path: Path) -> None:
    with hanging_folder(tmp_path / "hanging") as hanging:
        (inbox := tmp_path / "in").mkdir()
        journal = tmp_path / "journal"
        names = {"code": FUNCTIONS, "journal": journal, "hung": hanging.path, "inbox": inbox}
        server = DevServer(tmp_path, MANIFEST.format(**names))
        try:
            until(lambda: trigger(server, "hung")["state"] == "watching")
            hanging.hang()
            until(lambda: trigger(server, "hung")["state"] == "waiting")
            assert "does not answer" in trigger(server, "hung")["reason"]
            fired = trigger(server, "timed")["accepted"]
            (inbox / "file").write_text("x")
            until(lambda: journal.exists() and journal.read_text().endswith(" file\n"))
            until(lambda: trigger(server, "timed")["accepted"] >= fired + 2)
            assert server.end_of(server.accepted("timed"))["status"] == "FINISHED"
        finally:
            server.stop()


def trigger(server: DevServer, function: str) -> dict[str, Any]:
    (found,) = server.ask("GET", f"/v1/triggers?function={function}").document["triggers"]
    return dict(found)
