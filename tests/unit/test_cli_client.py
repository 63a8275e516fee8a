"""Commands against a small server that answers what a test tells it to."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from processor.cli.app import run
from processor.cli.client import Answered, Client, Cut
from processor.cli.errors import Exit

ID = "1b4e28ba-2fa1-8d7c-883f-0016d3cca427"
RUN: dict[str, Any] = {
    "request_id": ID,
    "function": "hello",
    "status": "FINISHED",
    "status_code": 200,
    "error": None,
    "result": {"greeting": "Hello"},
    "accepted_at": "2026-11-24T10:00:00.000Z",
    "ended_at": "2026-11-24T10:00:01.000Z",
    "duration_ms": 12.0,
}
FAILED = RUN | {
    "status": "FAILED",
    "status_code": 439,
    "result": None,
    "error": {"type": "Runtime.ExitError", "message": "signal: killed", "stack": ""},
}
Reply = tuple[int, bytes]


class Gateway(ThreadingHTTPServer):
    """Answers from `replies`: "METHOD /path" -> the answers in turn, the last one again and again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, what: str, document: Any, status: int = 200) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.replies.setdefault(what, []).append((status, body))

    def reply_to(self, what: str) -> Reply:
        replies = self.replies[what]
        return replies.pop(0) if len(replies) > 1 else replies[0]


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def _reply(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        what = f"{self.command} {self.path}"
        self.server.asked.append((what, {name.lower(): value for name, value in self.headers.items()}, body))
        status, answer = self.server.reply_to(what)
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = _reply

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def headrace(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_GATEWAY__URL", gateway.url)
    return lambda *arguments: run(arguments)


def events(*frames: tuple[str, Any]) -> bytes:
    return b"retry: 1000\n\n: ping\n\n" + b"".join(
        f"event: {name}\nid: 1\ndata: {json.dumps(data)}\n\n".encode() for name, data in frames
    )


@pytest.mark.parametrize(("verb", "paused"), [("pause", True), ("resume", False)])
def test_a_function_is_paused_and_resumed_by_name(
    gateway: Gateway, headrace: Callable[..., int], capsys: pytest.CaptureFixture[str], verb: str, paused: bool
) -> None:
    gateway.answer(f"POST /v1/functions/hello/{verb}", {"name": "hello", "paused": paused})
    assert headrace("functions", verb, "hello") == Exit.OK
    assert capsys.readouterr().out == f"hello {verb}d\n"


def test_functions_are_listed_with_the_triggers_they_have_and_with_what_holds_them(
    gateway: Gateway, headrace: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    hello = {"name": "hello", "version": "v", "handler": "m:f", "timeout_sec": 9.0, "events": [], "enabled": True}
    several: list[dict[str, Any]] = [{"folder": {}}, {"http": {}}, {"folder": {}}]
    found = [hello | {"paused": True}, hello | {"paused": False, "events": several}]
    gateway.answer("GET /v1/functions", {"functions": found})
    assert headrace("functions", "ls") == Exit.OK
    shown = [line.split("  ")[-1] for line in capsys.readouterr().out.splitlines()[1:]]
    assert shown == ["none (paused)", "folder, http"]


def test_invoke_prints_the_request_id_and_nothing_else(
    gateway: Gateway, headrace: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.answer("POST /v1/functions/hello/invocations", {"request_id": ID}, 202)
    assert headrace("invoke", "hello", "--data", '{"name": "é"}', "--idempotency-key", "k") == Exit.OK
    assert capsys.readouterr().out == f"{ID}\n"
    ((_, headers, body),) = gateway.asked
    assert json.loads(body) == {"name": "é"}
    assert (headers["idempotency-key"], headers["content-type"]) == ("k", "application/json")


def test_invoke_takes_the_event_from_a_file_as_it_is(gateway: Gateway, headrace: Callable[..., int]) -> None:
    gateway.answer("POST /v1/functions/hello/invocations", {"request_id": ID}, 202)
    Path("event.bin").write_bytes(b"\xff\x00")
    assert headrace("invoke", "hello", "--data", "@event.bin", "--content-type", "image/png") == Exit.OK
    assert gateway.asked[0][2] == b"\xff\x00"


@pytest.mark.parametrize(("document", "code"), [(RUN, Exit.OK), (FAILED, Exit.FAILED)])
def test_invoke_wait_ends_with_the_verdict_as_its_exit_code(
    gateway: Gateway,
    headrace: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    document: dict[str, Any],
    code: Exit,
) -> None:
    gateway.answer("POST /v1/functions/hello/invocations", {"request_id": ID}, 202)
    gateway.answer(f"GET /v1/runs/{ID}?wait=60", RUN | {"status": "RUNNING", "ended_at": None})
    gateway.answer(f"GET /v1/runs/{ID}?wait=60", document)
    assert headrace("invoke", "hello", "--wait", "-o", "json") == code
    assert json.loads(capsys.readouterr().out) == document


def test_invoke_follow_prints_lines_then_verdict_and_result(
    gateway: Gateway, headrace: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.answer("POST /v1/functions/hello/invocations", {"request_id": ID}, 202)
    lines = [("line", {"seq": 1, "text": "one"}), ("line", {"seq": 2, "text": "two"})]
    gateway.answer(f"GET /v1/runs/{ID}/logs?follow=1", events(*lines, ("end", RUN)))
    assert headrace("invoke", "hello", "--follow") == Exit.OK
    assert capsys.readouterr().out == f'{ID}\none\ntwo\nFINISHED 200  0.012 s\n{{"greeting": "Hello"}}\n'


def test_a_stream_that_breaks_is_taken_up_after_the_last_line(
    gateway: Gateway, headrace: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.answer(f"GET /v1/runs/{ID}/logs?follow=1", events(("line", {"seq": 7, "text": "one"})))
    gateway.answer(f"GET /v1/runs/{ID}/logs?follow=1&after=7", events(("cut", {"reason": "stops"})))
    gateway.answer(f"GET /v1/runs/{ID}/logs?follow=1&after=7", events(("end", FAILED)))
    assert headrace("logs", ID, "-f") == Exit.FAILED
    assert capsys.readouterr().out == "one\nFAILED 439 Runtime.ExitError: signal: killed  0.012 s\n"


def test_a_stream_that_always_breaks_is_given_up(gateway: Gateway) -> None:
    gateway.answer(f"GET /v1/runs/{ID}/logs?follow=1", events())
    with pytest.raises(Cut):
        list(Client(gateway.url).follow(ID))


def test_lines_so_far_are_printed_as_text_or_as_they_came(
    gateway: Gateway, headrace: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"seq": 1, "stream": "stdout", "level": None, "time": "t", "text": "one"}
    gateway.answer(f"GET /v1/runs/{ID}/logs?format=json", json.dumps(line).encode() + b"\n")
    assert headrace("logs", ID) == Exit.OK
    assert capsys.readouterr().out == "one\n"
    assert headrace("logs", ID, "-o", "json") == Exit.OK
    assert json.loads(capsys.readouterr().out) == line


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, Exit.USAGE), (404, Exit.USAGE), (422, Exit.USAGE), (429, Exit.UNREACHABLE), (503, Exit.UNREACHABLE)],
)
def test_a_refusal_is_told_in_the_gateways_words(
    gateway: Gateway,
    headrace: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    status: int,
    code: Exit,
) -> None:
    problem = {"detail": "no function is named 'x'", "remedy": "List them."}
    gateway.answer("GET /v1/functions/x", problem, status)
    assert headrace("functions", "show", "x") == code
    assert capsys.readouterr().err == "headrace: no function is named 'x'\n  -> List them.\n"


def test_something_else_on_that_port_is_a_refusal_too(gateway: Gateway) -> None:
    gateway.answer("GET /v1/functions", b"<html>", 404)
    with pytest.raises(Answered, match="HTTP 404"):
        Client(gateway.url).functions()


def test_runs_are_listed_in_columns_when_nobody_is_at_a_terminal(
    gateway: Gateway, headrace: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.answer("GET /v1/runs?status=FAILED&limit=20", {"runs": [FAILED], "cursor": "abc"})
    assert headrace("runs", "ls", "--status", "FAILED") == Exit.OK
    head, row, more = capsys.readouterr().out.splitlines()
    assert head.split() == ["REQUEST", "ID", "FUNCTION", "STATUS", "ACCEPTED", "DURATION"]
    assert row.startswith(f"{ID}  hello     FAILED 439 Runtime.ExitError: signal: killed")
    assert more == "more: headrace runs ls --cursor abc"


def test_deploy_sends_each_function_with_absolute_paths_and_every_quantity(
    gateway: Gateway, headrace: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("functions.yaml").write_text(
        "version: 1\nfunctions:\n  a: {handler: 'm:f', memory: 500M, rate: 100/m}\n"
        "  b: {handler: 'm:f', memory: 1Gi, timeout: 2m, events: [folder: {path: in}]}\n"
    )
    answer = {"version": "v", "revision": 1, "notes": ["a note"]}
    for name in "ab":
        gateway.answer(f"PUT /v1/functions/{name}", answer)
    assert headrace("deploy") == Exit.OK
    assert capsys.readouterr().out == "".join(f"{name} ... version v, revision 1\n  a note\n" for name in "ab")
    first, second = (json.loads(body) for _, _, body in gateway.asked)
    here = str(Path.cwd())
    assert (first["code"], first["memory"], first["rate"]) == (here, "500000k", "6000/h")
    assert (second["memory"], second["timeout"]) == ("1048576Ki", 120.0)
    assert second["events"][0]["folder"]["path"] == f"{here}/in"


def test_what_deploy_sends_means_the_same_as_the_manifest() -> None:
    from processor.cli.deploy import entry_of
    from processor.registry.manifest import load_manifest, parse_entry

    examples = Path(__file__).parents[2] / "examples" / "functions.yaml"
    for name, spec in load_manifest(examples).functions.items():
        sent = json.loads(json.dumps(entry_of(spec)))
        again = parse_entry(name, sent, Path("/"))
        assert again == spec.__class__(**{f: getattr(spec, f) for f in spec.__slots__} | {"not_code": again.not_code})


def test_a_log_is_followed_with_what_headrace_says_of_it_and_taken_up_after_the_start(
    gateway: Gateway, headrace: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    start = ("line", {"seq": 0, "text": f"START RequestId:{ID}"})
    gateway.answer(f"GET /v1/runs/{ID}/logs?follow=1&platform=1", events(start))
    gateway.answer(f"GET /v1/runs/{ID}/logs?follow=1&after=0&platform=1", events(("end", RUN)))
    assert headrace("logs", ID, "-f", "--platform") == Exit.OK
    assert capsys.readouterr().out == f"START RequestId:{ID}\nFINISHED 200  0.012 s\n"


def test_progress_is_the_last_line_of_a_terminal_and_nothing_of_it_is_left(
    gateway: Gateway,
    headrace: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    said = ("progress", {"fraction": 0.4, "message": "frame\x1b[2J 1200", "at": "t"})
    gateway.answer(f"GET /v1/runs/{ID}/logs?follow=1", events(said, ("line", {"seq": 1, "text": "one"}), ("end", RUN)))
    assert headrace("logs", ID, "-f") == Exit.OK
    told = capsys.readouterr()
    assert told.out == "one\nFINISHED 200  0.012 s\n"
    assert told.err == "\r\033[K 40% frame [2J 1200\r\033[K"


def test_progress_is_not_printed_into_a_file(
    gateway: Gateway, headrace: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.answer("POST /v1/functions/hello/invocations", {"request_id": ID}, 202)
    said = ("progress", {"fraction": 0.4, "message": "frame 1200", "at": "t"})
    gateway.answer(f"GET /v1/runs/{ID}/logs?follow=1", events(said, ("end", RUN)))
    assert headrace("invoke", "hello", "--follow") == Exit.OK
    told = capsys.readouterr()
    assert "frame" not in told.out + told.err
