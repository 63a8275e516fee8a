"""Modules: how they are found, what they may do on import, what their handlers are given."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.core.run import StatusCode
from processor.executor.abstract import RunEnded
from tests.integration.instances import FUNCTIONS, Driver, pid_of, pool, result_of


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    with pool(tmp_path) as driver:
        yield driver


def failure(ended: RunEnded) -> tuple[str, str]:
    assert ended.status_code is StatusCode.HANDLER_NOT_LOADABLE
    assert ended.started_at_ms is None
    assert ended.error is not None
    return ended.error.type, ended.error.message


def test_a_module_that_raises_ends_its_runs_437_with_its_traceback_and_its_output(driver: Driver) -> None:
    ended = driver.run("raises_on_import:handler")
    assert failure(ended) == ("RuntimeError", "no configuration")
    assert ended.error is not None
    assert 'raise RuntimeError("no configuration")' in ended.error.stack
    assert ended.error.stack.count("File ") == 1
    assert driver.texts(ended.delivery) == ["about to fail"]


def test_a_missing_module_a_missing_callable_and_bad_syntax_end_437(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def handler(event, context)\n")
    assert failure(driver.run("nowhere:handler"))[0] == "ModuleNotFoundError"
    assert failure(driver.run("workloads:nothing"))[0] == "Runtime.HandlerNotFound"
    assert failure(driver.run("bad:handler", code_dir=tmp_path))[0] == "SyntaxError"
    assert failure(driver.run("echo", code_dir=tmp_path / "none", name="g"))[0] == "FileNotFoundError"


def test_a_module_that_ends_its_process_ends_437(driver: Driver) -> None:
    assert failure(driver.run("exits_on_import:handler")) == ("Runtime.ExitError", "exit status 7")


def test_an_import_that_hangs_is_ended_after_the_limit(tmp_path: Path) -> None:
    with pool(tmp_path, init_limit_sec=0.3) as driver:
        assert failure(driver.run("hangs_on_import:handler"))[0] == "Runtime.InitTimeout"


def test_all_waiting_runs_of_a_version_that_cannot_start_end_and_it_is_not_tried_at_once_again(driver: Driver) -> None:
    deliveries = [driver.begin("raises_on_import:handler") for _ in range(50)]
    assert {driver.ended(each).status_code for each in deliveries} == {StatusCode.HANDLER_NOT_LOADABLE}
    told = len(driver.events)
    assert failure(driver.run("raises_on_import:handler")) == ("RuntimeError", "no configuration")
    assert [type(event) for event in driver.events[told:]] == [RunEnded]  # no import, so no line of it


def test_a_module_with_threads_is_imported_by_each_instance(driver: Driver) -> None:
    ended = driver.run("threaded_on_import:handler", {"n": 21})
    assert result_of(ended) == {"doubled": 42, "imported_here": True}
    assert driver.texts(ended.delivery).count("thread started") >= 1
    again = driver.run("threaded_on_import:handler", {"n": 1})
    assert pid_of(again) == pid_of(ended)


def test_a_handler_in_the_style_of_scf_runs_unmodified(driver: Driver) -> None:
    event = {"Records": [{"cos": {"cosObject": {"key": "/1/b/a.mp4"}}}]}
    ended = driver.run("scf_style:main_handler", event, name="scf", memory_bytes=256 * 1024 * 1024)
    assert result_of(ended)["key"] == "/1/b/a.mp4"
    assert result_of(ended)["seen"] == {
        "function_name": "scf",
        "function_version": "v1",
        "memory_limit_in_mb": 256,
        "time_limit_in_ms": 20_000,
        "namespace": "default",
        "environ": "SCF_NAMESPACE=default",
    }
    assert f"request request-{driver.given} of scf" in driver.texts(ended.delivery)
    assert any(line[2] == "INFO" for line in driver.lines(ended.delivery))


@pytest.mark.parametrize("handler", ["lambda_style:lambda_handler", "lambda_style.lambda_handler"])
def test_a_handler_in_the_style_of_lambda_runs_unmodified(driver: Driver, handler: str) -> None:
    ended = driver.ended(driver.begin(f"{handler}" if ":" in handler else handler.replace(".", ":"), name="lam"))
    result = result_of(ended)
    assert (result["name"], result["version"]) == ("lam", "v1")
    assert result["arn"].split(":")[6] == "lam"
    assert result["group"] == "/headrace/lam"
    assert any(line[2] == "INFO" for line in driver.lines(ended.delivery))


def test_forked_instances_draw_different_random_numbers(driver: Driver) -> None:
    lost = driver.run("lambda_style:lambda_handler", name="lam")
    with pytest.raises(AssertionError):
        result_of(driver.run("raises", name="other"))
    driver.pool.crews[("lam", "v1")].idle[0].ends.signal(signal.SIGKILL)
    driver.gone(pid_of(lost))
    again = driver.run("lambda_style:lambda_handler", name="lam")
    assert result_of(lost)["random"] != result_of(again)["random"]


def test_a_functions_module_may_be_called_like_our_package(driver: Driver) -> None:
    ended = driver.run("processor:handler", code_dir=FUNCTIONS / "named_like_ours")
    assert result_of(ended) == "processor"


def test_an_instance_sees_nothing_of_the_executor(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA__SASL_PASSWORD", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    env = {"MODE": "test", "AWS_LAMBDA_FUNCTION_NAME": "forged"}
    seen = result_of(driver.run("surroundings", name="f", env=env))
    assert "secret" not in json.dumps(seen["env"])
    assert not [name for name in seen["env"] if name.startswith("HEADRACE")]
    assert seen["env"]["MODE"] == "test"
    assert seen["env"]["AWS_LAMBDA_FUNCTION_NAME"] == "f"
    assert seen["modules"] == []
    assert seen["cwd"] == str(FUNCTIONS)


def test_an_instance_has_four_descriptors_a_private_folder_and_its_own_session(driver: Driver) -> None:
    driver.run("echo", name="neighbour")
    two = [driver.begin("surroundings", concurrency=2) for _ in range(2)]
    for delivery in two:
        seen = result_of(driver.ended(delivery))
        kinds = sorted(target.partition(":")[0] for target in seen["fds"].values())
        assert kinds == ["/dev/null", "pipe", "pipe", "socket"]
        assert seen["mode"] == 0o700
        assert seen["session"]
        assert "NoNewPrivs:\t1" in seen["status"]


def test_where_no_process_can_be_forked_a_run_ends_500_and_says_so(driver: Driver) -> None:
    ended = driver.run("cannot_fork:handler")
    assert ended.status_code is StatusCode.INSTANCE_LOST
    assert ended.error is not None
    assert ended.error.message == "no process could be started: fork: Resource temporarily unavailable"


def test_a_module_that_writes_to_our_channel_hurts_only_itself(tmp_path: Path) -> None:
    with pool(tmp_path, init_limit_sec=0.5) as driver:
        assert failure(driver.run("writes_rubbish_on_import:handler"))[0] == "Runtime.InitTimeout"
        assert result_of(driver.run("echo", 1)) == 1
