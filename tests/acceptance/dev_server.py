"""`headrace dev` in a process of its own, and plain HTTP to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from processor.ops.processes import Role
from tests.acceptance.http_api import Answer, ask

READY_SEC = 40.0
_RUN_SEC = 30


class DevServer:
    def __init__(self, folder: Path, manifest: str, *, data: Path | None = None) -> None:
        self.data = data or folder / "data"
        #: RequestIds that `accepted` got.
        self.acknowledged: set[str] = set()
        file = folder / "functions.yaml"
        file.write_text(manifest)
        arguments = ["dev", "--functions", str(file), "--port", "0", "--data", str(self.data)]
        self.role = Role(arguments, {"HEADRACE_EXECUTOR__SLOTS": "4"}, folder / "dev.log")
        try:
            self.port = int(self.role.wait_for("ready gateway", READY_SEC).rpartition(":")[2])
            self.role.wait_for("ready dev", READY_SEC)
        except BaseException:
            self.role.stop()
            raise

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        return ask(self.port, method, path, body, headers=headers)

    def invoke(self, function: str, body: bytes = b"{}", **headers: str) -> Answer:
        return self.ask("POST", f"/v1/functions/{function}/invocations", body, **headers)

    def accepted(self, function: str, body: bytes = b"{}", **headers: str) -> str:
        """Returns the RequestId; fails when it is refused."""
        answer = self.invoke(function, body, **headers)
        assert answer.status == 202, answer
        request_id = str(answer.document["request_id"])
        self.acknowledged.add(request_id)
        return request_id

    def end_of(self, request_id: str) -> dict[str, Any]:
        """Waits for the end of the run and returns its document."""
        run = self.ask("GET", f"/v1/runs/{request_id}?wait={_RUN_SEC}").document
        assert run["ended_at"], run
        return run

    def stop(self) -> None:
        assert self.role.stop() == 0
