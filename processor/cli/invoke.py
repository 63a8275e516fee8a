from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from processor.cli.client import Client
from processor.cli.errors import CommandFailed, Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, seconds_of, verdict_line
from processor.cli.progress_line import ProgressLine


def invoke(
    name: Annotated[str, Parameter(help="Function.")],
    /,
    *,
    data: Annotated[str, Parameter(allow_leading_hyphen=True)] = "{}",
    content_type: str = "application/json",
    idempotency_key: str | None = None,
    wait: bool = False,
    follow: bool = False,
    asking: Asking = ASKING,
) -> int:
    """Send an event to a function. Its RequestId comes back once the event is durable, before it runs.

    Exit code with --wait or --follow: 0 when the run FINISHED, else 1.

    Parameters
    ----------
    data
        The event: JSON, @FILE, or - for standard input.
    content_type
        What the event is; anything but JSON reaches the handler as text or bytes.
    idempotency_key
        Sent again with the same key, it is the same event and runs once.
    wait
        Wait for the end and print the verdict and the result.
    follow
        Print the run's log lines as they come, then the verdict.
    """
    client = Client(settings_of(asking).settings.gateway.client_url)
    body = read_data(data)
    if content_type == "application/json":
        check_json(body, data)
    headers = {"content-type": content_type}
    if idempotency_key is not None:
        headers["idempotency-key"] = idempotency_key
    request_id = client.invoke(name, body, headers)
    if wait or follow:
        return _await_end(client, request_id, follow=follow, as_json=asking.as_json)
    print_json({"request_id": request_id}) if asking.as_json else print(request_id)
    return Exit.OK


def _await_end(client: Client, request_id: str, *, follow: bool, as_json: bool) -> int:
    if not as_json:
        print(request_id, flush=True)
    run = follow_run(client, request_id, quiet=as_json) if follow else wait_for(client, request_id)
    print_json(run) if as_json else print_verdict(run)
    return Exit.OK if run["status"] == "FINISHED" else Exit.FAILED


def read_data(text: str) -> bytes:
    """Raises CommandFailed when the file cannot be read."""
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text.encode()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise CommandFailed(f"{text[1:]}: {error.strerror}", remedy="Name a file: @FILE.", code=Exit.USAGE) from error


def check_json(body: bytes, text: str) -> None:
    """Here already, because a shell's quoting is the usual reason. Raises CommandFailed."""
    try:
        json.loads(body)
    except ValueError as error:
        source = "the event" if text == "-" or text.startswith("@") else f"the event {text!r}"
        remedy = """Quote it for the shell: --data '{"name": "value"}'; for other data give --content-type."""
        raise CommandFailed(f"{source} is not JSON: {error}", remedy=remedy, code=Exit.USAGE) from error


def follow_run(client: Client, request_id: str, *, quiet: bool = False) -> dict[str, Any]:
    """Prints lines as they come; returns the run at its end."""
    bar = ProgressLine()
    for name, data in client.follow(request_id):
        if name == "progress":
            bar.show(data)
            continue
        bar.clear()
        if name == "end":
            return data
        if not quiet:
            print(data["text"], flush=True)
    raise CommandFailed(f"the lines of {request_id} ended without a verdict")


def wait_for(client: Client, request_id: str) -> dict[str, Any]:
    """In a terminal it says every second how it stands."""
    if not sys.stderr.isatty():
        return client.wait(request_id)
    begun = time.monotonic()

    def show(run: dict[str, Any]) -> None:
        reason = f" ({run['wait_reason']})" if run["wait_reason"] else ""
        print(f"\r{run['status']}{reason} {time.monotonic() - begun:.0f} s", end=" ", file=sys.stderr, flush=True)

    try:
        return client.wait(request_id, show)
    finally:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def print_verdict(run: dict[str, Any]) -> None:
    print("  ".join(filter(None, (verdict_line(run), seconds_of(run)))))
    if run["result"] is not None:
        print(json.dumps(run["result"], ensure_ascii=False))
