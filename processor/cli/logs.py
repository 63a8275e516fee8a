from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from processor.cli.client import Client
from processor.cli.errors import CommandFailed, Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, seconds_of, verdict_line
from processor.cli.progress_line import ProgressLine

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
_PAGE = 1_000


def logs(
    request_id: Annotated[str | None, Parameter(help="RequestId; of all runs when left out.")] = None,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    after: int | None = None,
    platform: bool = False,
    grep: str | None = None,
    level: Level | None = None,
    function: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 1_000,
    asking: Asking = ASKING,
) -> int:
    """Print a run's log lines, or find lines of all runs.

    Exit code with --follow: 0 when the run FINISHED, else 1.

    Parameters
    ----------
    follow
        Go on until the run has ended, then print its verdict.
    after
        Only lines with a higher number.
    platform
        With what Headrace says of the run: START; Response or ERROR, END, Report.
    grep
        Only lines with this in them; upper and lower case are the same.
    level
        Only lines of this level and above.
    function
        Only of runs of this function.
    since
        Only from then on: 15m, 2h, 7d, or a time such as 2026-11-24T09:00:00Z.
    until
        Only before then.
    limit
        Of those that are searched, the newest so many.
    """
    client = Client(settings_of(asking).settings.gateway.client_url)
    asked = {"text": grep, "level": level, "function": function, "since": since, "until": until}
    wanted = {name: value for name, value in asked.items() if value is not None}
    if request_id is None or wanted:
        if follow or after is not None or platform:
            raise CommandFailed("a search cannot be followed", remedy="Name a run, and no filter.", code=Exit.USAGE)
        return _search(client, {**wanted, **({"request_id": request_id} if request_id else {})}, limit, asking)
    if not follow:
        for line in client.lines(request_id, after, platform=platform):
            print_json(line) if asking.as_json else print(line["text"])
        return Exit.OK
    bar = ProgressLine()
    for name, data in client.follow(request_id, after, platform=platform):
        if name == "progress":
            bar.show(data)
            continue
        bar.clear()
        if name == "line":
            print_json(data) if asking.as_json else print(data["text"], flush=True)
            continue
        print_json(data) if asking.as_json else print("  ".join(filter(None, (verdict_line(data), seconds_of(data)))))
        return Exit.OK if data["status"] == "FINISHED" else Exit.FAILED
    return Exit.FAILED


def _search(client: Client, wanted: Mapping[str, str], limit: int, asking: Asking) -> int:
    """Looks as long as it takes, and prints the oldest first."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(found) < limit:
        query = {**wanted, "limit": str(min(limit - len(found), _PAGE))}
        page = client.search_lines(**query, **({} if cursor is None else {"cursor": cursor}))
        found += page["lines"]
        cursor = page["cursor"]
        if cursor is None:
            break
    for line in reversed(found):
        print_json(line) if asking.as_json else print(_found_line(line))
    return Exit.OK


def _found_line(line: dict[str, Any]) -> str:
    return f"{line['time']}  {line['function']}  {line['request_id']}  {line['text']}"
