"""Five roles as five processes on a real broker, each killed once under load."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest

from processor.core.errors import HeadraceError
from processor.core.run import Status
from tests.acceptance.callers import Caller, starts
from tests.acceptance.kafka_site import ROLES, Site

FUNCTIONS = Path(__file__).parent.parent / "functions"
THUMBNAIL = Path(__file__).parent.parent.parent / "examples" / "thumbnail"
PER_SEC = 40
VERDICTS_SEC = 60.0

MANIFEST = """
version: 1
functions:
  work:
    handler: journal:run
    code: {code}
    concurrency: 8
    env: {{JOURNAL: "{journal}"}}
  thumbnail:
    handler: thumbnail:handler
    code: {thumbnail}
    timeout: 1m
    env: {{SIZE: "256"}}
    events:
      - folder: {{path: {uploads}, pattern: "*.jpg", event_format: data}}
"""


@pytest.fixture
def site(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(kafka_bootstrap, topic_prefix, tmp_path)
    with ExitStack() as stack:
        stack.callback(made.stop)
        made.command("topics", "init")
        for name in ROLES:
            made.start(name)
        manifest = tmp_path / "functions.yaml"
        names = {"code": FUNCTIONS, "journal": made.journal, "thumbnail": THUMBNAIL, "uploads": made.uploads}
        manifest.write_text(MANIFEST.format(**names))
        made.command("deploy", "--functions", str(manifest))
        yield made


@pytest.mark.timeout(300)
def test_every_acknowledged_event_gets_one_verdict_though_each_role_is_killed_under_load(site: Site) -> None:
    caller = Caller(lambda: site.port, "work", per_sec=PER_SEC, data={"sec": 0.02})
    caller.start()
    for name in ROLES:
        time.sleep(2)  # load before and between the kills is the test, not a wait for something
        shutil.copy(THUMBNAIL / "photo.jpg", site.uploads / f"before {name}.jpg")
        site.kill(name)
        shutil.copy(THUMBNAIL / "photo.jpg", site.uploads / f"without {name}.jpg")
        site.start(name)
    time.sleep(2)
    acknowledged = caller.stop()
    assert len(acknowledged) > PER_SEC

    deadline = time.monotonic() + VERDICTS_SEC
    while missing := acknowledged - site.verdicts().keys():
        assert time.monotonic() < deadline, (
            f"{len(missing)} of {len(acknowledged)} have no verdict: {sorted(missing)[:3]}"
        )
        time.sleep(1)

    ended = site.verdicts()
    started = starts(site.journal)
    assert max(started.values()) == 1, "a handler ran twice"
    assert acknowledged <= ended.keys()
    for run in acknowledged:
        first = ended[run][0]
        assert {each.delivery for each in ended[run]} == {first.delivery}, "one delivery each"
        assert (first.status is Status.FINISHED) <= (run in started), "finished means that it ran"
    check_audit(site, caller)
    finished = sum(ended[run][0].status is Status.FINISHED for run in acknowledged)
    assert finished >= 0.5 * len(acknowledged)
    check_thumbnails(site)


def check_audit(site: Site, caller: Caller) -> None:
    """The recorder may still have the last lines in its hands: until then they are said to be missing."""
    evidence = [
        "--acknowledgements",
        str(caller.write_down(site.folder / "acknowledged")),
        "--journal",
        str(site.journal),
    ]
    deadline = time.monotonic() + VERDICTS_SEC
    while True:
        try:
            report = orjson.loads(site.command("audit", *evidence, "--drained", "-o", "json"))
        except HeadraceError:
            assert time.monotonic() < deadline
            time.sleep(1)
            continue
        break
    checked = {each["id"]: each["checked"] for each in report["invariants"]}
    assert report["ok"]
    assert min(checked[each] for each in ("I1", "I2", "I3", "I5", "I9", "I11")) >= PER_SEC


def check_thumbnails(site: Site) -> None:
    """Every photo, also those dropped while the trigger host was down, has one run; a run that a killed executor held
    ended as lost, and every other one left its thumbnail.
    """
    photos = sorted(each.name for each in site.uploads.iterdir())
    deadline = time.monotonic() + VERDICTS_SEC
    while True:
        listed = orjson.loads(site.command("runs", "ls", "--function", "thumbnail", "-o", "json"))
        runs = {each["subject"]: each for each in listed["runs"] if each["ended_at"]}
        if runs.keys() >= set(photos):
            break
        assert time.monotonic() < deadline, f"no verdict for {sorted(set(photos) - runs.keys())}"
        time.sleep(1)
    assert len(listed["runs"]) == len(photos)
    finished = [name for name in photos if runs[name]["status"] == "FINISHED"]
    assert len(finished) >= len(photos) - 2
    assert all((site.folder / "thumbnails" / name).stat().st_size for name in finished)
