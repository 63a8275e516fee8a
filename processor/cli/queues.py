from __future__ import annotations

from processor.cli.client import Client
from processor.cli.errors import Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, print_table


def ls(*, asking: Asking = ASKING) -> int:
    """List how many events wait for each function, since when, and why."""
    found = Client(settings_of(asking).settings.gateway.client_url).queues()
    if asking.as_json:
        print_json(found)
        return Exit.OK
    rows = [
        (each["function"], each["lag"], _age(each["oldest_age_sec"]), each["wait_reason"]) for each in found["queues"]
    ]
    print_table(("function", "waiting", "oldest", "why"), rows)
    if found["intake_lag"]:
        print(f"{found['intake_lag']} accepted events are not in their queue yet")
    return Exit.OK


def _age(age_sec: float | None) -> str:
    return "" if age_sec is None else f"{age_sec:.0f} s"
