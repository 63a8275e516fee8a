"""`headrace dev` as a user starts, stops and kills it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.kafka.broker import free_ports
from processor.ops.processes import Role, headrace

EXAMPLES = Path(__file__).parents[2] / "examples"
READY_SEC = 30.0
MANIFEST = f"""
version: 1
functions:
  hello: {{handler: "hello:handler", code: {EXAMPLES / "hello"}}}
  transcode: {{handler: "transcode:handler", code: {EXAMPLES / "transcode"}, timeout: 2m}}
"""


class Dev:
    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self.folder = folder
        self.environment = {
            "HEADRACE_GATEWAY__PORT": str(port),
            "HEADRACE_DATA_DIR": str(folder / "data"),
            "HEADRACE_FUNCTIONS": str(folder / "functions.yaml"),
        }
        (folder / "functions.yaml").write_text(MANIFEST)

    def start(self) -> Role:
        role = Role(["dev"], self.environment, self.folder / "dev.log")
        role.wait_for("ready dev", READY_SEC)
        return role

    def run(self, request_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(headrace(["runs", "show", request_id, "-o", "json"], self.environment))
        return found

    def begin(self, seconds: float) -> str:
        """Starts a transcode and returns its RequestId once it has written its first line."""
        data = json.dumps({"seconds": seconds})
        request_id = headrace(["invoke", "transcode", "--data", data], self.environment).strip()
        command = [sys.executable, "-u", "-m", "processor", "logs", request_id, "-f"]
        environment = {**os.environ, **self.environment}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline().startswith("process ")
            follower.kill()
        return request_id


@pytest.fixture
def dev(tmp_path: Path) -> Dev:
    return Dev(tmp_path)


def test_ctrl_c_stops_in_order_and_lets_a_run_finish(dev: Dev) -> None:
    with dev.start() as role:
        request_id = dev.begin(2)
        role.send(signal.SIGINT)
        for name in ("triggers", "gateway", "executor", "dispatcher", "recorder"):
            role.wait_for(f"stopping {name}")
        assert role.stop() == 0
    with dev.start():
        assert dev.run(request_id)["status"] == "FINISHED"


def test_a_second_ctrl_c_stops_now_and_the_run_has_its_verdict(dev: Dev) -> None:
    with dev.start() as role:
        request_id = dev.begin(100)
        role.send(signal.SIGINT)
        role.wait_for("executor finishes what it has")
        role.send(signal.SIGINT)
        role.wait_for("stopping recorder")
        assert role.stop() == 0
    with dev.start():
        run = dev.run(request_id)
        assert (run["status"], run["status_code"]) == ("FAILED", 500)
        assert "told to stop now" in run["error"]["message"]


def test_after_kill_9_the_next_start_closes_the_run_and_nothing_of_it_is_left(dev: Dev) -> None:
    with dev.start() as role:
        request_id = dev.begin(100)
        role.send(signal.SIGKILL)
        role.stop()
    with dev.start():
        run = json.loads(headrace(["runs", "show", request_id, "-o", "json"], dev.environment))
        assert (run["status"], run["status_code"], run["error"]["type"]) == ("FAILED", 500, "InstanceLost")
        again = headrace(["invoke", "hello", "--wait", "-o", "json"], dev.environment)
        assert json.loads(again)["status"] == "FINISHED"


def test_saved_code_is_deployed_again_and_a_mistake_is_told_without_harm(dev: Dev) -> None:
    code = dev.folder / "code"
    code.mkdir()
    (code / "app.py").write_text("def handler(event, context):\n    return 1\n")
    (dev.folder / "functions.yaml").write_text('version: 1\nfunctions: {f: {handler: "app:handler", code: code}}\n')
    invoke = ["invoke", "f", "--wait", "-o", "json"]
    with dev.start() as role:
        assert json.loads(headrace(invoke, dev.environment))["result"] == 1
        (code / "app.py").write_text("def handler(event, context):\n    return 2\n")
        role.wait_for("function f ")
        assert json.loads(headrace(invoke, dev.environment))["result"] == 2
        (dev.folder / "functions.yaml").write_text("version: 1\nfunctions: {f: {handler: 7}}\n")
        assert "functions.f.handler" in role.wait_for("not deployed: ")
        assert json.loads(headrace(invoke, dev.environment))["result"] == 2


def test_a_second_one_on_the_same_folder_is_refused_with_the_owner(dev: Dev) -> None:
    with dev.start() as role:
        command = [sys.executable, "-m", "processor", "dev"]
        environment = {**os.environ, **dev.environment}
        second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
        assert second.returncode == 1
        assert f"used by another process (pid {role.pid})" in second.stderr
        assert "--data" in second.stderr


def test_a_port_in_use_is_refused_and_what_had_started_is_stopped(dev: Dev, tmp_path: Path) -> None:
    with dev.start():
        command = [sys.executable, "-m", "processor", "dev", "--data", str(tmp_path / "other")]
        environment = {**os.environ, **dev.environment}
        second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
        assert second.returncode == 1
        assert "cannot listen" in second.stderr
        assert second.stdout.splitlines()[-1] == "stopping recorder"
