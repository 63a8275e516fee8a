from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from processor.cli.client import Client
from processor.cli.errors import Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, seconds_of, verdict_line


def logs(
    request_id: Annotated[str, Parameter(help="RequestId.")],
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    after: int = 0,
    asking: Asking = ASKING,
) -> int:
    """Print a run's log lines.

    Exit code with --follow: 0 when the run FINISHED, else 1.

    Parameters
    ----------
    follow
        Go on until the run has ended, then print its verdict.
    after
        Only lines with a higher number.
    """
    client = Client(settings_of(asking).settings.gateway.client_url)
    if not follow:
        for line in client.lines(request_id, after):
            print_json(line) if asking.as_json else print(line["text"])
        return Exit.OK
    for name, data in client.follow(request_id, after):
        if name == "line":
            print_json(data) if asking.as_json else print(data["text"], flush=True)
            continue
        print_json(data) if asking.as_json else print("  ".join(filter(None, (verdict_line(data), seconds_of(data)))))
        return Exit.OK if data["status"] == "FINISHED" else Exit.FAILED
    return Exit.FAILED
