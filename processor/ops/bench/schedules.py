"""Schedules: how late the handler's first line is, by the nominal time."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import orjson

from processor.core.errors import HeadraceError
from processor.ops.bench.figures import Figure, percentile
from processor.ops.bench.site import Site

FUNCTION = "bench-timers"
#: Due at once, each second.
SCHEDULES = 4
SECONDS = 30.0
WARM_SECONDS = 4.0
_CODE = Path(__file__).parent / "functions"
#: The last ones are still on their way.
_REST_SEC = 2.0


class TimesMissing(HeadraceError):
    """Not every time has reached its handler, or one has twice."""


def schedules(site: Site) -> list[Figure]:
    """Deploys its function, and disables it at the end."""
    arrivals = site.folder / "timer-arrivals"
    _deploy(site, arrivals, enabled=True)
    try:
        time.sleep(WARM_SECONDS)
        begin = int(time.time()) + 1
        time.sleep(begin - time.time() + SECONDS + _REST_SEC)
    finally:
        _deploy(site, arrivals, enabled=False)
    delays = _delays(arrivals, begin, begin + int(SECONDS))
    name = f"nominal time to first line, {SCHEDULES} schedules/s, {site.kind}"
    return [
        Figure(name=f"{name}, p50", value=percentile(delays, 0.5), unit="ms", target=None, better="lower"),
        Figure(name=f"{name}, p95", value=percentile(delays, 0.95), unit="ms", target=60, better="lower"),
    ]


def _deploy(site: Site, arrivals: Path, *, enabled: bool) -> None:
    entry = {
        "handler": "timers:due",
        "code": str(_CODE),
        "concurrency": 64,
        "enabled": enabled,
        "env": {"ARRIVALS": str(arrivals)},
        "events": [{"schedule": {"cron": "* * * * * *", "name": f"timer{each}"}} for each in range(SCHEDULES)],
    }
    status, answer = site.request("PUT", f"/v1/functions/{FUNCTION}", orjson.dumps(entry))
    if status not in (200, 201):
        raise HeadraceError(f"{FUNCTION} was not deployed: {status} {answer}")


def _delays(arrivals: Path, begin: int, end: int) -> list[float]:
    """Milliseconds, of the nominal times from begin to before end. Raises TimesMissing."""
    found: dict[tuple[str, int], float] = {}
    repeated = 0
    for line in arrivals.read_text().splitlines():
        at, schedule, nominal = line.split(" ")
        due = int(datetime.fromisoformat(nominal).timestamp())
        if begin <= due < end:
            repeated += (schedule, due) in found
            found[schedule, due] = (float(at) - due) * 1000
    wanted = SCHEDULES * (end - begin)
    if repeated or len(found) != wanted:
        raise TimesMissing(f"{len(found)} of {wanted} times were run, {repeated} of them more than once")
    return list(found.values())
