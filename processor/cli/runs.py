from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from processor.cli.client import Answered, Client
from processor.cli.errors import Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, print_members, print_table, seconds_of, verdict_line
from processor.core.run import StatusCode

State = Literal["QUEUED", "RUNNING", "FINISHED", "FAILED", "ABORTED"]


def ls(
    *,
    function: str | None = None,
    status: State | None = None,
    code: int | None = None,
    since: str | None = None,
    until: str | None = None,
    trigger: str | None = None,
    text: str | None = None,
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
    code
        Only ended with this status code.
    since
        Only accepted since: 15m, 2h, 7d, or a time such as 2026-11-24T09:00:00Z.
    until
        Only accepted before then.
    trigger
        Only begun by this kind of source: http, kafka, ...
    text
        Only with this in the RequestId, the subject or the error.
    limit
        At most so many, up to 1,000.
    cursor
        Go on where an earlier list ended.
    """
    wanted = {
        "function": function, "status": status, "code": code, "since": since, "until": until, "trigger": trigger,
        "text": text, "limit": limit, "cursor": cursor,
    }  # fmt: skip
    client = Client(settings_of(asking).settings.gateway.client_url)
    page = client.runs(**{name: str(value) for name, value in wanted.items() if value is not None})
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


def cancel(
    request_id: Annotated[str, Parameter(help="RequestId.")],
    /,
    *,
    grace: float = 0.0,
    wait: bool = False,
    asking: Asking = ASKING,
) -> int:
    """Cancel a run: one that waits is not started, one that runs is killed with everything that it has started. Its
    verdict is ABORTED 499.

    Exit code: 0 when it is being cancelled, with --wait when it was; 1 when it had ended otherwise before, and that
    end is printed.

    Parameters
    ----------
    grace
        Seconds between SIGTERM and SIGKILL; 0: killed at once.
    wait
        Wait for the end, and print it.
    """
    client = Client(settings_of(asking).settings.gateway.client_url)
    answer = _cancelled(client, request_id, grace)
    run = client.wait(request_id) if wait else answer.get("run")
    if asking.as_json:
        print_json(run or answer)
    else:
        print(verdict_line(run) if run else f"{request_id} is being cancelled")
    return Exit.FAILED if run and run["status_code"] != StatusCode.CANCELLED else Exit.OK


def _cancelled(client: Client, request_id: str, grace_sec: float) -> dict[str, Any]:
    try:
        return client.cancel(request_id, grace_sec)
    except Answered as error:
        if "run" not in error.problem:
            raise
        return {"run": error.problem["run"]}


def _local(time: str | None) -> str:
    return "" if time is None else datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
