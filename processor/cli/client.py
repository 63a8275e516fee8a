"""The HTTP API for commands, on the standard library: an import of httpx costs more than all the rest of `invoke`."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from processor.cli.errors import CommandFailed, Exit

#: For one answer. A deploy copies code and waits for the broker.
CALL_SEC = 15.0
DEPLOY_SEC = 120.0
#: Looking through many runs.
BULK_SEC = 90.0
#: The gateway sends a ping every 15 s to a follower; two missed mean that nobody is there.
SILENCE_SEC = 40.0
#: The longest that the gateway waits for the end of a run.
MAX_WAIT_SEC = 60
_RECONNECTS = 5
_RECONNECT_SEC = 1.0


class Unreachable(CommandFailed):
    """The gateway did not answer."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"the gateway at {url} is not reachable: {reason}",
            remedy="Start it (`headrace dev`, or `headrace start gateway`), or name another: --gateway URL or "
            "HEADRACE_GATEWAY__URL.",
            code=Exit.UNREACHABLE,
        )


class Answered(CommandFailed):
    """The gateway refused."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        unavailable = status >= 500 or status == 429
        super().__init__(
            detail, remedy=str(problem.get("remedy", "")), code=Exit.UNREACHABLE if unavailable else Exit.USAGE
        )
        self.status = status
        self.problem = problem


class Cut(CommandFailed):
    """The gateway ended a stream of lines before the run was over."""


class Client:
    """One gateway. Blocks; a connection per call. Raises Unreachable, Answered."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandFailed(
                f"{url!r} is not the address of a gateway", remedy="Write http://HOST:PORT.", code=Exit.USAGE
            )
        self.url = url
        self._parts = parts

    def functions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("GET", "/v1/functions")["functions"]
        return found

    def function(self, name: str) -> dict[str, Any]:
        return self._ask("GET", f"/v1/functions/{quote(name, safe='')}")

    def set_paused(self, name: str, paused: bool) -> dict[str, Any]:
        """Returns the function as it is now."""
        path = f"/v1/functions/{quote(name, safe='')}/{'pause' if paused else 'resume'}"
        return self._ask("POST", path, limit_sec=DEPLOY_SEC)

    def deploy(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(entry).encode()
        path = f"/v1/functions/{quote(name, safe='')}"
        return self._ask("PUT", path, body, {"content-type": "application/json"}, limit_sec=DEPLOY_SEC)

    def invoke(self, name: str, body: bytes, headers: Mapping[str, str]) -> str:
        """Returns the RequestId."""
        path = f"/v1/functions/{quote(name, safe='')}/invocations"
        return str(self._ask("POST", path, body, headers)["request_id"])

    def runs(self, **query: str) -> dict[str, Any]:
        return self._ask("GET", f"/v1/runs?{urlencode(query)}")

    def run(self, request_id: str, *, wait_sec: int = 0) -> dict[str, Any]:
        """wait_sec: how long the gateway may wait for the run's end, at most MAX_WAIT_SEC."""
        query = f"?wait={wait_sec}" if wait_sec else ""
        return self._ask("GET", f"/v1/runs/{quote(request_id, safe='')}{query}", limit_sec=CALL_SEC + wait_sec)

    def cancel(self, request_id: str, grace_sec: float = 0.0) -> dict[str, Any]:
        """Returns once it is certain to be looked at. Raises Answered (409) when the run had ended otherwise before."""
        body, headers = json.dumps({"grace": grace_sec}).encode(), {"content-type": "application/json"}
        return self._ask("POST", f"/v1/runs/{quote(request_id, safe='')}/cancel", body, headers)

    def replay(self, request_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._order(f"/v1/runs/{quote(request_id, safe='')}/replay", body)

    def bulk(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The operation that has begun, or of a preview what it would do."""
        return self._order("/v1/bulk", body, BULK_SEC)

    def operation(self, name: str) -> dict[str, Any]:
        return self._ask("GET", f"/v1/bulk/{quote(name, safe='')}")

    def search_lines(self, **query: str) -> dict[str, Any]:
        return self._ask("GET", f"/v1/logs?{urlencode(query)}")

    def queues(self) -> dict[str, Any]:
        return self._ask("GET", "/v1/queues")

    def executors(self) -> dict[str, Any]:
        return self._ask("GET", "/v1/executors")

    def drain_executor(self, name: str) -> dict[str, Any]:
        """Returns once they are certain to hear of it: those of this name."""
        return self._ask("POST", f"/v1/executors/{quote(name, safe='')}/drain")

    def set_enabled(self, name: str, enabled: bool) -> dict[str, Any]:
        """Returns the function as it is now."""
        path = f"/v1/functions/{quote(name, safe='')}/{'enable' if enabled else 'disable'}"
        return self._ask("POST", path, limit_sec=DEPLOY_SEC)

    def delete_function(self, name: str) -> dict[str, Any]:
        """`deleted`, or how many of its runs are `left`: ask again then."""
        return self._ask("DELETE", f"/v1/functions/{quote(name, safe='')}", limit_sec=DEPLOY_SEC)

    def changes(self, **query: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Runs as they change, without an end. A stream that breaks is taken up where it broke. Raises Cut when that
        does not help.
        """
        last, broken = "", 0
        while broken <= _RECONNECTS:
            headers = {"last-event-id": last} if last else {}
            try:
                for name, data, number in self._stream(f"/v1/runs/changes?{urlencode(query)}", headers):
                    last, broken = number or last, 0
                    yield name, data
            except (Unreachable, OSError, http.client.HTTPException):
                if not last:
                    raise
            broken += 1
            time.sleep(_RECONNECT_SEC)
        raise Cut("the changes broke off", remedy="Watch again: `headrace runs watch`.")

    def triggers(self, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("GET", f"/v1/triggers?{urlencode(query)}")["triggers"]
        return found

    def trigger(self, name: str) -> dict[str, Any]:
        return self._ask("GET", f"/v1/triggers/{quote(name, safe='')}")

    def order_trigger(self, name: str, order: str) -> dict[str, Any]:
        """order: pause or resume (returns the trigger), or fire (returns the request's id)."""
        return self._ask("POST", f"/v1/triggers/{quote(name, safe='')}/{order}")

    def trigger_fire(self, name: str, fire: str) -> dict[str, Any]:
        return self._ask("GET", f"/v1/triggers/{quote(name, safe='')}/fires/{quote(fire, safe='')}")

    def rejected(self, **query: str) -> dict[str, Any]:
        return self._ask("GET", f"/v1/rejected?{urlencode(query)}")

    def rejected_one(self, place: str) -> dict[str, Any]:
        return self._ask("GET", f"/v1/rejected/{quote(place, safe='')}")

    def mark_rejected(self, place: str, mark: str, function: str | None = None) -> dict[str, Any]:
        """mark: redrive or discard."""
        body = b"" if function is None else json.dumps({"function": function}).encode()
        return self._ask(
            "POST", f"/v1/rejected/{quote(place, safe='')}/{mark}", body, {"content-type": "application/json"}
        )

    def wait(self, request_id: str, show: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
        """Blocks until the run has ended, and returns it. show: called with it every second meanwhile."""
        while True:
            run = self.run(request_id, wait_sec=1 if show else MAX_WAIT_SEC)
            if run["ended_at"] is not None:
                return run
            if show:
                show(run)

    def lines(self, request_id: str, after: int | None = None, *, platform: bool = False) -> Iterator[dict[str, Any]]:
        """The log lines so far. platform: with what Headrace says of the run."""
        path = _log_path(request_id, after, platform, format="json")
        with self._open("GET", path, b"", {}, CALL_SEC) as response:
            for line in response:
                yield json.loads(line)

    def follow(
        self, request_id: str, after: int | None = None, *, platform: bool = False
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """("line", line) and ("progress", progress) as they come, then ("end", run). platform: with what Headrace says
        of the run. A stream that breaks is taken up where it broke. Raises Cut when that does not help.
        """
        broken = 0
        while True:
            try:
                for name, data, _ in self._stream(_log_path(request_id, after, platform, follow="1"), {}):
                    if name == "line":
                        after, broken = data["seq"], 0
                        yield name, data
                    elif name == "progress":
                        yield name, data
                    elif name == "end":
                        yield name, data
                        return
            except (Unreachable, OSError, http.client.HTTPException):
                if broken == 0 and after is None:
                    raise
            broken += 1
            if broken > _RECONNECTS:
                raise Cut(f"the lines of {request_id} broke off", remedy="Follow again: `headrace logs ID -f`.")

    def _stream(self, path: str, headers: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any], str]]:
        """(event, data, id or empty)"""
        with self._open("GET", path, b"", {"accept": "text/event-stream", **headers}, SILENCE_SEC) as response:
            name = number = ""
            for raw in response:
                field, _, value = raw.decode().rstrip("\n").partition(": ")
                if field == "event":
                    name, number = value, ""
                elif field == "id":
                    number = value
                elif field == "data":
                    yield name, json.loads(value), number

    def _order(self, path: str, body: Mapping[str, Any], limit_sec: float = CALL_SEC) -> dict[str, Any]:
        headers = {"content-type": "application/json"}
        return self._ask("POST", path, json.dumps(body).encode(), headers, limit_sec=limit_sec)

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None,
        limit_sec: float = CALL_SEC,
    ) -> dict[str, Any]:  # fmt: skip
        with self._open(method, path, body, headers or {}, limit_sec) as response:
            answer: dict[str, Any] = json.loads(self._read(response))
            return answer

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self.url, f"the answer broke off: {error}") from error

    def _open(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], limit_sec: float
    ) -> http.client.HTTPResponse:
        """limit_sec: for connecting, and for each wait for more of the answer. Raises Unreachable, Answered."""
        connection = self._connection(limit_sec)
        try:
            # One call for each connection: told so, the gateway keeps none open for us, and neither do we.
            told = {**headers, "connection": "close"}
            connection.request(method, self._parts.path.rstrip("/") + path, body or None, told)
            response = connection.getresponse()
        except TimeoutError as error:
            connection.close()
            raise Unreachable(self.url, f"no answer within {limit_sec:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable(self.url, _reason(error)) from error
        if response.status >= 400:
            with response:
                problem = _problem(self._read(response))
            raise Answered(response.status, problem)
        return response

    def _connection(self, limit_sec: float) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=limit_sec, context=context)
        return http.client.HTTPConnection(host, port, timeout=limit_sec)


def _log_path(request_id: str, after: int | None, platform: bool, **query: str) -> str:
    if after is not None:
        query["after"] = str(after)
    if platform:
        query["platform"] = "1"
    return f"/v1/runs/{quote(request_id, safe='')}/logs?{urlencode(query)}"


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "its host name is not known"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def _problem(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
