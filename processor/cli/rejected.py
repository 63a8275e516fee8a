from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from cyclopts import Parameter

from processor.cli.client import Answered, Client
from processor.cli.errors import CommandFailed, Exit, exit_code_of, tell
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, print_members, print_table

Place = Annotated[str, Parameter(help="Record, as `headrace rejected ls` names it.")]


def ls(
    *,
    trigger: str | None = None,
    function: str | None = None,
    all: bool = False,
    limit: int = 20,
    cursor: str | None = None,
    asking: Asking = ASKING,
) -> int:
    """List what was rejected, newest first.

    Parameters
    ----------
    trigger
        Only by this trigger.
    function
        Only what a trigger of this function rejected.
    all
        Also what was redriven or discarded.
    limit
        At most so many, up to 200.
    cursor
        Go on where an earlier list ended.
    """
    chosen = {"trigger": trigger, "function": function, "state": "all" if all else None}
    filters = {name: value for name, value in chosen.items() if value is not None}
    page = _listed(_client(asking), filters, limit, cursor)
    if asking.as_json:
        print_json(page)
        return Exit.OK
    rows = [
        (each["id"], _local(each["rejected_at"]), each["state"], each["origin"], each["size_bytes"], each["reason"])
        for each in page["rejected"]
    ]
    print_table(("id", "rejected", "state", "origin", "bytes", "reason"), rows)
    if page["cursor"]:
        print(shlex.join(["more:", *_again(trigger, function, all), "--cursor", page["cursor"]]))
    return Exit.OK


def _listed(client: Client, filters: dict[str, str], limit: int, cursor: str | None) -> dict[str, Any]:
    """The gateway looks at some hundred records for one answer, and answers with a cursor where none of them fits: the
    list is at its end when there is no cursor, not when there is no row.
    """
    found: list[dict[str, Any]] = []
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        page = client.rejected(**filters, **more, limit=str(limit - len(found)))
        found += page["rejected"]
        cursor = page["cursor"]
        if cursor is None or len(found) >= limit:
            return {"rejected": found, "cursor": cursor}


def _again(trigger: str | None, function: str | None, all: bool) -> list[str]:
    command = ["headrace", "rejected", "ls"]
    command += ["--trigger", trigger] if trigger else []
    command += ["--function", function] if function else []
    return [*command, *(["--all"] if all else [])]


def show(place: Place, /, *, asking: Asking = ASKING) -> int:
    """Show one rejected record: why, from where, and its bytes. Bytes that are no text: -o json has them as base64."""
    found = _client(asking).rejected_one(place)
    if asking.as_json:
        print_json(found)
        return Exit.OK
    data, headers = found.pop("data", None), found.pop("headers")
    found.pop("data_base64", None)
    found.pop("preview")
    print_members({**found, "cut": found["cut"] or None})
    for name, value in headers:
        print(f"header  {name}: {value}")
    print()
    print(f"({found['size_bytes']:,} bytes that are no text: -o json)" if data is None else data)
    return Exit.OK


def redrive(
    *places: Annotated[str, Parameter(help="Records, as `headrace rejected ls` names them.")],
    function: str | None = None,
    asking: Asking = ASKING,
) -> int:
    """Send it again, with the identity it had, and print its RequestId. What an adapter had rejected goes to the
    function as raw bytes, in an event of type headrace.rejected.redriven.

    Parameters
    ----------
    function
        For whom it is, when it names nobody, or somebody who does not exist.
    """
    client = _client(asking)
    return _each(places, lambda place: client.mark_rejected(place, "redrive", function), "request_id", asking)


def discard(
    *places: Annotated[str, Parameter(help="Records, as `headrace rejected ls` names them.")],
    asking: Asking = ASKING,
) -> int:
    """Leave it at that: it is not listed any more. Its bytes stay on the topic until their 14 days are over."""
    client = _client(asking)
    return _each(places, lambda place: client.mark_rejected(place, "discard"), "state", asking)


def _each(places: tuple[str, ...], do: Callable[[str], dict[str, Any]], shown: str, asking: Asking) -> int:
    """All of them, whatever happens to one; the exit code is the worst."""
    if not places:
        raise CommandFailed("no record is named", remedy="Name some: `headrace rejected ls`.", code=Exit.USAGE)
    done, code = list[dict[str, Any]](), Exit.OK
    for place in places:
        try:
            done.append(do(place))
        except Answered as error:
            tell(error)
            code = max(code, exit_code_of(error))
    if asking.as_json:
        print_json({"rejected": done})
    else:
        for each in done:
            print(f"{each['id']}  {each[shown]}")
    return code


def _local(time: str | None) -> str:
    return "" if time is None else datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _client(asking: Asking) -> Client:
    return Client(settings_of(asking).settings.gateway.client_url)
