from __future__ import annotations

from typing import Any

from processor.cli.client import Client
from processor.cli.errors import Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, seconds_of, verdict_line


def watch(*, function: str | None = None, asking: Asking = ASKING) -> int:
    """Print runs as they change, until interrupted.

    Parameters
    ----------
    function
        Only of this function.
    """
    client = Client(settings_of(asking).settings.gateway.client_url)
    for name, data in client.changes(**({} if function is None else {"function": function})):
        if asking.as_json and name != "ready":
            print_json({"event": name, **data})
        elif name == "run":
            print(_line(data), flush=True)
        elif name == "many":
            print(f"{data['count']} runs have changed", flush=True)
        elif name == "reset":
            print(f"some changes were not seen: {data['reason']}", flush=True)
    return Exit.OK


def _line(change: dict[str, Any]) -> str:
    run = {"status_code": None, **change}
    parts = (run["request_id"], run["function"], verdict_line(run), seconds_of(run))
    return "  ".join(part for part in parts if part)
