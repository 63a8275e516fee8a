"""Tencent Cloud's SDK for SCF, unmodified, against a Headrace in a process of its own."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.scf.v20180416 import models
from tencentcloud.scf.v20180416.scf_client import ScfClient

from tests.acceptance.dev_server import DevServer
from tests.waiting import until

#: It has no types.
sdk: dict[str, Any] = {each.__name__: each for each in (HttpProfile, ClientProfile, Credential, ScfClient)}
FUNCTIONS = Path(__file__).parent.parent / "functions"
MANIFEST = """
version: 1
functions:
  talk:
    handler: talkative:talk
    code: {code}
  answer:
    handler: talkative:talk
    code: {code}
    async_execution: false
"""
CODE = "def main_handler(event, context):\n    print('hello')\n    return event['n'] * 2\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    running = DevServer(tmp_path_factory.mktemp("scf"), MANIFEST.format(code=FUNCTIONS))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(site: DevServer) -> Any:
    where = sdk["HttpProfile"](protocol="http", endpoint=f"127.0.0.1:{site.port}")
    profile = sdk["ClientProfile"](httpProfile=where)
    return sdk["ScfClient"](sdk["Credential"]("any", "any"), "ap-guangzhou", profile)


def call(client: Any, action: str, **fields: Any) -> Any:
    request = getattr(models, f"{action}Request")()
    request.from_json_string(orjson.dumps(fields).decode())
    return getattr(client, action)(request)


def refusal_of(client: Any, action: str, **fields: Any) -> tuple[str, str]:
    """(code, message)."""
    with pytest.raises(TencentCloudSDKException) as refused:
        call(client, action, **fields)
    error: Any = refused.value
    return error.get_code(), error.get_message()


def started(client: Any, **event: object) -> str:
    answer = call(client, "Invoke", FunctionName="talk", ClientContext=orjson.dumps(event).decode())
    return str(answer.Result.FunctionRequestId)


def test_an_asynchronous_function_answers_every_call_with_its_request_id_only(site: DevServer, client: Any) -> None:
    for kind in ("RequestResponse", "Event"):
        answer = call(client, "Invoke", FunctionName="talk", InvocationType=kind, ClientContext='{"name": "Ada"}')
        assert (answer.Result.RetMsg, answer.Result.Log, answer.Result.InvokeResult) == ("", "", 0)
        assert answer.RequestId != answer.Result.FunctionRequestId
        assert site.end_of(answer.Result.FunctionRequestId)["result"] == {"said": "Ada"}


def test_a_synchronous_function_answers_with_result_and_log(client: Any) -> None:
    result = call(client, "InvokeFunction", FunctionName="answer", Event='{"name": "Ada", "lines": 1}').Result
    assert (result.InvokeResult, result.RetMsg, result.ErrMsg) == (0, '{"said":"Ada"}', "")
    assert result.MemUsage > 1_000_000
    run = result.FunctionRequestId
    begin, line, response, end, report = result.Log.splitlines()
    assert begin == f"START RequestId:{run}"
    assert line == "line 0 of Ada"
    assert response == f'Response RequestId:{run} RetMsg:{{"said":"Ada"}}'
    assert end == f"END RequestId:{run}"
    assert report.startswith(f"Report RequestId:{run} Duration:")


def test_a_synchronous_function_that_raises_says_so(client: Any) -> None:
    result = call(client, "Invoke", FunctionName="answer", ClientContext='{"fail": "no disk"}').Result
    assert (result.InvokeResult, result.ErrMsg, result.RetMsg) == (-1, "ValueError: no disk", "")


def test_an_event_is_running_then_finished(site: DevServer, client: Any) -> None:
    run = started(client, lines=30, pause=0.1)
    status = call(client, "GetAsyncEventStatus", InvokeRequestId=run).Result
    assert (status.Status, status.StatusCode, status.InvokeRequestId) == ("RUNNING", 0, run)
    site.end_of(run)
    status = call(client, "GetAsyncEventStatus", InvokeRequestId=run).Result
    assert (status.Status, status.StatusCode) == ("FINISHED", 200)


@pytest.mark.parametrize("graceful", [True, False])
def test_an_event_is_terminated_and_the_call_returns_when_it_has_ended(client: Any, graceful: bool) -> None:
    run = started(client, lines=600, pause=0.1)
    call(client, "TerminateAsyncEvent", FunctionName="talk", InvokeRequestId=run, GraceShutdown=graceful)
    status = call(client, "GetAsyncEventStatus", InvokeRequestId=run).Result
    assert (status.Status, status.StatusCode) == ("ABORTED", 499)
    code, _ = refusal_of(client, "TerminateAsyncEvent", FunctionName="talk", InvokeRequestId=run)
    assert code == "FailedOperation.AsyncEventStatus"


def test_events_are_listed_filtered_and_paged(site: DevServer, client: Any) -> None:
    good, bad = started(client, name="good"), started(client, fail="bad")
    site.end_of(good)
    site.end_of(bad)
    until(lambda: call(client, "ListAsyncEvents", FunctionName="talk", Status=["FAILED"]).TotalCount)
    failed = call(client, "ListAsyncEvents", FunctionName="talk", Status=["FAILED"])
    assert [each.InvokeRequestId for each in failed.EventList] == [bad]
    assert failed.EventList[0].InvokeType == "OTHERS"
    assert failed.EventList[0].EndTime >= failed.EventList[0].StartTime
    every = call(client, "ListAsyncEvents", FunctionName="talk", Limit=100)
    assert every.TotalCount == len(every.EventList) >= 2
    pages = [
        call(client, "ListAsyncEvents", FunctionName="talk", Limit=1, Offset=offset).EventList[0].InvokeRequestId
        for offset in range(every.TotalCount)
    ]
    assert pages == [each.InvokeRequestId for each in every.EventList]
    later = {"Start": "2999-01-01 00:00:00", "End": "2999-01-02 00:00:00"}
    assert call(client, "ListAsyncEvents", FunctionName="talk", StartTimeInterval=later).TotalCount == 0


def test_a_function_is_created_run_listed_and_deleted(site: DevServer, client: Any) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", CODE)
    code = {"ZipFile": base64.b64encode(packed.getvalue()).decode()}
    fields = {"FunctionName": "double", "Handler": "index.main_handler", "Code": code, "Timeout": 7, "MemorySize": 256}
    call(client, "CreateFunction", **fields, AsyncRunEnable="TRUE")
    details = call(client, "GetFunction", FunctionName="double")
    assert (details.AsyncRunEnable, details.Timeout, details.MemorySize, details.Status) == ("TRUE", 7, 256, "Active")
    assert refusal_of(client, "CreateFunction", **fields, AsyncRunEnable="FALSE")[0] == "ResourceInUse.Function"
    run = call(client, "Invoke", FunctionName="double", ClientContext='{"n": 21}').Result.FunctionRequestId
    assert site.end_of(run)["result"] == 42
    logged = call(client, "GetFunctionLogs", FunctionName="double", FunctionRequestId=run).Data[0]
    assert (logged.RetCode, logged.InvokeFinished, logged.RetMsg) == (0, 1, "42")
    assert "hello" in logged.Log.splitlines()
    names = [each.FunctionName for each in call(client, "ListFunctions", SearchKey="doub").Functions]
    assert names == ["double"]
    call(client, "DeleteFunction", FunctionName="double")
    assert call(client, "ListFunctions", SearchKey="doub").TotalCount == 0


@pytest.mark.parametrize(
    ("action", "fields", "code"),
    [
        ("Invoke", {"FunctionName": "nobody"}, "ResourceNotFound.Function"),
        ("Invoke", {"FunctionName": "talk", "ClientContext": "{"}, "InvalidParameter.Payload"),
        ("Invoke", {"FunctionName": "talk", "InvocationType": "Later"}, "InvalidParameterValue"),
        ("Invoke", {}, "MissingParameter"),
        ("GetAsyncEventStatus", {"InvokeRequestId": "nobody"}, "ResourceNotFound.AsyncEvent"),
        ("ListAsyncEvents", {"FunctionName": "talk", "Limit": 1_000}, "InvalidParameterValue.Limit"),
        ("ListVersionByFunction", {"FunctionName": "talk"}, "InvalidAction"),
        (
            "CreateFunction",
            {"FunctionName": "x", "Handler": "a.b", "Code": {"ZipFile": "%%"}},
            "InvalidParameterValue.Code",
        ),
    ],
)
def test_a_refusal_has_the_code_that_the_platform_would_give(
    client: Any, action: str, fields: dict[str, Any], code: str
) -> None:
    answered, message = refusal_of(client, action, **fields)
    assert answered == code
    assert message


def test_a_body_that_is_too_large_is_refused_as_the_platform_does(site: DevServer) -> None:
    answer = site.ask("POST", "/", b" " * 3_000_000, X_TC_Action="Invoke")
    assert answer.status == 200
    assert answer.document["Response"]["Error"]["Code"] == "InvalidParameter.RequestTooLarge"


def test_an_event_invocation_of_a_synchronous_function_returns_at_once(site: DevServer, client: Any) -> None:
    event = '{"lines": 600, "pause": 0.1}'
    answer = call(client, "Invoke", FunctionName="answer", InvocationType="Event", ClientContext=event)
    run = answer.Result.FunctionRequestId
    assert site.ask("GET", f"/v1/runs/{run}").document["ended_at"] is None
    site.ask("POST", f"/v1/runs/{run}/cancel", b"{}")
