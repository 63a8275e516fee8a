"""boto3's Lambda client, unmodified, against a Headrace in a process of its own."""

from __future__ import annotations

import base64
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import orjson
import pytest
from botocore.exceptions import ClientError

from tests.acceptance.dev_server import DevServer

boto: Any = boto3  # it has no types
botocore_config: Any = botocore.config
FUNCTIONS = Path(__file__).parent.parent / "functions"
MANIFEST = """
version: 1
functions:
  talk:
    handler: talkative:talk
    code: {code}
  wait-for-me:
    handler: talkative:talk
    code: {code}
    async_execution: false
  once:
    handler: journal:run
    code: {code}
    env: {{JOURNAL: "{journal}"}}
  closed:
    handler: talkative:talk
    code: {code}
    enabled: false
"""
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:talk"


class Site(DevServer):
    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal"
        super().__init__(folder, MANIFEST.format(code=FUNCTIONS, journal=self.journal))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = Site(tmp_path_factory.mktemp("lambda"))
    yield running
    running.stop()


def client_of(port: int, **config: Any) -> Any:
    return boto.client(
        "lambda",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="eu-west-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=botocore_config.Config(**config),
    )


@pytest.fixture(scope="module")
def client(site: Site) -> Any:
    return client_of(site.port, retries={"total_max_attempts": 1})


def invoke(client: Any, name: str, event: object, **more: str) -> tuple[dict[str, Any], Any]:
    answer = client.invoke(FunctionName=name, Payload=orjson.dumps(event), **more)
    payload = answer["Payload"].read()
    return answer, orjson.loads(payload) if payload else None


def test_an_event_is_accepted_and_its_run_is_found_by_the_request_id(site: Site, client: Any) -> None:
    answer, payload = invoke(client, "talk", {"name": "Ada"}, InvocationType="Event")
    assert (answer["StatusCode"], payload) == (202, None)
    assert site.end_of(answer["ResponseMetadata"]["RequestId"])["result"] == {"said": "Ada"}


def test_an_event_for_a_synchronous_function_is_accepted_without_waiting_for_its_end(site: Site, client: Any) -> None:
    answer, _ = invoke(client, "wait-for-me", {"lines": 600, "pause": 0.1}, InvocationType="Event")
    assert answer["StatusCode"] == 202
    run = answer["ResponseMetadata"]["RequestId"]
    assert site.ask("GET", f"/v1/runs/{run}").document["ended_at"] is None
    site.ask("POST", f"/v1/runs/{run}/cancel", b"{}")


@pytest.mark.parametrize("name", ["talk", "wait-for-me"])
def test_a_request_is_answered_with_the_result_also_of_an_asynchronous_function(client: Any, name: str) -> None:
    answer, payload = invoke(client, name, {"name": "Ada"})
    assert (answer["StatusCode"], payload) == (200, {"said": "Ada"})
    assert "FunctionError" not in answer
    assert len(answer["ExecutedVersion"]) == 12


@pytest.mark.parametrize("name", ["talk", "wait-for-me"])
def test_a_function_that_raises_is_told_in_the_payload_with_the_end_of_its_log(client: Any, name: str) -> None:
    answer, payload = invoke(client, name, {"fail": "no disk", "lines": 2, "name": "Bo"}, LogType="Tail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (payload["errorType"], payload["errorMessage"]) == ("ValueError", "no disk")
    assert any("raise ValueError" in line for line in payload["stackTrace"])
    assert base64.b64decode(answer["LogResult"]).decode().splitlines()[:2] == ["line 0 of Bo", "line 1 of Bo"]


def test_the_log_in_the_answer_is_its_last_four_kilobytes(client: Any) -> None:
    answer, _ = invoke(client, "talk", {"name": "x" * 100, "lines": 100}, LogType="Tail")
    tail = base64.b64decode(answer["LogResult"])
    assert 4_096 - 130 < len(tail) <= 4_096, "whole lines only"
    assert tail.startswith(b"... 64 earlier lines are not shown here\nline 64 of ")
    assert tail.endswith(b"line 99 of " + b"x" * 100 + b"\n")


@pytest.mark.parametrize("name", [ARN, f"{ARN}:$LATEST", "123456789012:function:talk", "talk:$LATEST"])
def test_every_form_of_a_name_is_understood(client: Any, name: str) -> None:
    assert client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    assert client.invoke(FunctionName="talk", Qualifier="$LATEST", InvocationType="DryRun")["StatusCode"] == 204


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ({"FunctionName": "nobody"}, "ResourceNotFoundException"),
        ({"FunctionName": "talk", "Qualifier": "prod"}, "ResourceNotFoundException"),
        ({"FunctionName": "closed"}, "ResourceConflictException"),
        ({"FunctionName": "talk", "Payload": b"{"}, "InvalidRequestContentException"),
        ({"FunctionName": "talk", "Payload": b'"' + b"x" * 1_100_000 + b'"'}, "RequestTooLargeException"),
        ({"FunctionName": "talk", "InvocationType": "Later"}, "InvalidParameterValueException"),
    ],
)
def test_a_refusal_is_the_exception_that_the_client_knows(client: Any, wanted: dict[str, Any], name: str) -> None:
    with pytest.raises(ClientError) as refused:
        client.invoke(**wanted)
    assert refused.value.response["Error"]["Code"] == name
    assert refused.value.response["Error"]["Message"]


def test_a_call_that_the_client_tries_again_runs_once(site: Site) -> None:
    with CutAnswers(site.port, cut=2) as proxy:
        client = client_of(proxy.port, retries={"mode": "standard", "total_max_attempts": 4})
        answer, _ = invoke(client, "once", {"sec": 0}, InvocationType="Event")
    assert proxy.passed_on == 3
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2
    run = answer["ResponseMetadata"]["RequestId"]
    site.end_of(run)
    starts = [line for line in site.journal.read_text().splitlines() if line.endswith("start")]
    assert [line.partition(" ")[0] for line in starts] == [run]


class CutAnswers:
    """Passes requests on, and closes the connection instead of giving the first `cut` answers."""

    def __init__(self, upstream: int, *, cut: int) -> None:
        self.passed_on = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                answer = ask_raw(upstream, self.path, body, dict(self.headers))
                outer.passed_on += 1
                if outer.passed_on <= cut:
                    self.close_connection = True
                    return
                self.send_response(answer[0])
                for name, value in answer[1].items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer[2])

            def log_message(self, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> CutAnswers:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def ask_raw(port: int, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()
