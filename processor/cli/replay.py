from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from processor.cli.client import Client
from processor.cli.errors import CommandFailed, Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, verdict_line


def replay(
    request_id: Annotated[str, Parameter(help="RequestId.")],
    /,
    *,
    data: str | None = None,
    name: str | None = None,
    wait: bool = False,
    asking: Asking = ASKING,
) -> int:
    """Run the event of a run again, as a new run of the function's present version.

    Exit code with --wait: 0 when the new run FINISHED, else 1.

    Parameters
    ----------
    data
        JSON that the event carries instead, or @FILE with it. Needed when the event is not on the log any more.
    name
        Names this replay: the same name again gives the same new run.
    wait
        Wait for the end, and print it.
    """
    body: dict[str, Any] = {} if data is None else {"data": _data(data)}
    client = Client(settings_of(asking).settings.gateway.client_url)
    answer = client.replay(request_id, body if name is None else {**body, "id": name})
    run = client.wait(answer["request_id"]) if wait else None
    if asking.as_json:
        print_json(run or answer)
    else:
        print(answer["request_id"])
        if run:
            print(verdict_line(run))
    return Exit.FAILED if run and run["status"] != "FINISHED" else Exit.OK


def _data(text: str) -> Any:
    try:
        return json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        reason = f"--data is not understood: {error}"
        raise CommandFailed(reason, remedy="Give JSON, or @FILE.", code=Exit.USAGE) from error
