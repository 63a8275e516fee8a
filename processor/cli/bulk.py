from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from processor.cli.client import Client
from processor.cli.errors import CommandFailed, Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, print_table, verdict_line

_LOOK_SEC = 0.5


def bulk(
    action: Annotated[Literal["cancel", "replay"], Parameter(help="cancel or replay")],
    /,
    *,
    function: str | None = None,
    status: str | None = None,
    code: int | None = None,
    since: str | None = None,
    until: str | None = None,
    trigger: str | None = None,
    text: str | None = None,
    grace: float = 0.0,
    yes: bool = False,
    asking: Asking = ASKING,
) -> int:
    """Cancel or replay every run that a filter finds, at most 10,000. Without --yes it only counts them.

    Exit code: 0 when it was done to all of them, else 1.

    Parameters
    ----------
    function
        Of this function.
    status
        In this state.
    code
        Ended with this status code.
    since
        Accepted since: 15m, 2h, 7d, or a time such as 2026-11-24T09:00:00Z.
    until
        Accepted before.
    trigger
        Begun by this kind of source: http, kafka, ...
    text
        With this in the RequestId, the subject or the error.
    grace
        Of a cancel: seconds between SIGTERM and SIGKILL.
    yes
        Do it.
    """
    given = {
        "function": function, "status": status, "code": code, "since": since, "until": until, "trigger": trigger,
        "text": text,
    }  # fmt: skip
    wanted = {name: str(value) for name, value in given.items() if value is not None}
    if not wanted:
        raise CommandFailed("no filter is given", remedy="Give at least one, such as --function.", code=Exit.USAGE)
    client = Client(settings_of(asking).settings.gateway.client_url)
    body = {"action": action, "filter": wanted, "preview": not yes, **({"grace": grace} if grace else {})}
    operation = client.bulk(body)
    if yes:
        operation = _wait(client, operation, asking)
    print_json(operation) if asking.as_json else _print(operation)
    return Exit.OK if not yes or (operation["state"] == "done" and not operation["failed"]) else Exit.FAILED


def _wait(client: Client, operation: dict[str, Any], asking: Asking) -> dict[str, Any]:
    while operation["ended_at"] is None:
        time.sleep(_LOOK_SEC)
        operation = client.operation(operation["id"])
        if not asking.as_json:
            print(f"{operation['done'] + operation['skipped'] + operation['failed']} of {operation['count']}")
    return operation


def _print(operation: dict[str, Any]) -> None:
    more = " or more" if operation["limited"] else ""
    if operation["state"] == "preview":
        rows = [(each["request_id"], each["function"], verdict_line(each)) for each in operation["runs"]]
        print_table(("request id", "function", "status"), rows)
        print(f"{operation['count']}{more} runs; with --yes: {operation['action']}")
        return
    print(f"{operation['state']}: {operation['done']} done, {operation['skipped']} ended before, "
          f"{operation['failed']} failed")  # fmt: skip
    for each in operation["errors"]:
        print(f"  {each['request_id']}: {each['detail']}")
