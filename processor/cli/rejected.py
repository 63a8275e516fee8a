from __future__ import annotations

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
    wanted = {
        "trigger": trigger,
        "function": function,
        "state": "all" if all else None,
        "limit": str(limit),
        "cursor": cursor,
    }
    page = _client(asking).rejected(**{name: value for name, value in wanted.items() if value is not None})
    if asking.as_json:
        print_json(page)
        return Exit.OK
    rows = [
        (each["id"], _local(each["rejected_at"]), each["state"], each["origin"], each["size_bytes"], each["reason"])
        for each in page["rejected"]
    ]
    print_table(("id", "rejected", "state", "origin", "bytes", "reason"), rows)
    if page["cursor"]:
        print(f"more: headrace rejected ls --cursor {page['cursor']}")
    return Exit.OK


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
