from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from cyclopts import Parameter

from processor.cli.client import Client
from processor.cli.errors import Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, print_members, print_table, seconds_of, verdict_line

State = Literal["QUEUED", "RUNNING", "FINISHED", "FAILED", "ABORTED"]


def ls(
    *,
    function: str | None = None,
    status: State | None = None,
    since: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
    asking: Asking = ASKING,
) -> int:
    """List runs, newest first.

    Parameters
    ----------
    function
        Only of this function.
    status
        Only in this state.
    since
        Only accepted since: 15m, 2h, 7d, or a time such as 2026-11-24T09:00:00Z.
    limit
        At most so many, up to 1,000.
    cursor
        Go on where an earlier list ended.
    """
    wanted = {"function": function, "status": status, "since": since, "limit": str(limit), "cursor": cursor}
    client = Client(settings_of(asking).settings.gateway.client_url)
    page = client.runs(**{name: value for name, value in wanted.items() if value is not None})
    if asking.as_json:
        print_json(page)
        return Exit.OK
    rows = [
        (run["request_id"], run["function"], verdict_line(run), _local(run["accepted_at"]), seconds_of(run))
        for run in page["runs"]
    ]
    print_table(("request id", "function", "status", "accepted", "duration"), rows)
    if page["cursor"]:
        print(f"more: headrace runs ls --cursor {page['cursor']}")
    return Exit.OK


def show(request_id: Annotated[str, Parameter(help="RequestId.")], /, *, asking: Asking = ASKING) -> int:
    """Show one run: its state, its times, its verdict, its result."""
    run = Client(settings_of(asking).settings.gateway.client_url).run(request_id)
    if asking.as_json:
        print_json(run)
        return Exit.OK
    error = run.get("error") or {}
    print_members({**run, "error": f"{error['type']}: {error['message']}" if error else None})
    if error.get("stack"):
        print(error["stack"])
    return Exit.OK


def _local(time: str | None) -> str:
    return "" if time is None else datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
