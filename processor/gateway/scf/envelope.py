"""What every action of Tencent Cloud's API 3.0 has in common: fields of the request, and the answer around the answer.

Errors travel with HTTP 200, in Response.Error. Source: reference of the actions, and the SDK tencentcloud.common.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from processor.core.errors import HeadraceError
from processor.http.identity import uuid7
from processor.http.in_process import Answer
from processor.http.message import Response


class ScfError(HeadraceError):
    """The action was refused."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Fields:
    """The body of an action. Raises ScfError for what is missing or of another type."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @classmethod
    def read(cls, body: bytes) -> Fields:
        try:
            values = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError as error:
            raise ScfError("InvalidParameter", f"the body is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise ScfError("InvalidParameter", "the body is not a JSON object")
        return cls(values)

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name, default)
        if value is None:
            raise ScfError("MissingParameter", f"{name} is missing")
        if not isinstance(value, str):
            raise ScfError(f"InvalidParameterValue.{name}", f"{name} is not a string")
        return value

    def number(self, name: str, default: int, highest: int) -> int:
        value = self._values.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= highest:
            raise ScfError(f"InvalidParameterValue.{name}", f"{name} is not a number from 0 to {highest}")
        return value

    def flag(self, name: str) -> bool:
        value = self._values.get(name)
        return value is True or value == "TRUE"

    def texts(self, name: str) -> list[str]:
        value = self._values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ScfError(f"InvalidParameterValue.{name}", f"{name} is not a list of strings")
        return value

    def part(self, name: str) -> Fields:
        value = self._values.get(name) or {}
        if not isinstance(value, dict):
            raise ScfError(f"InvalidParameterValue.{name}", f"{name} is not an object")
        return Fields(value)

    def parts(self, name: str) -> list[Fields]:
        value = self._values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise ScfError(f"InvalidParameterValue.{name}", f"{name} is not a list of objects")
        return [Fields(each) for each in value]

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None


#: By the status of our own answer, where an action has no better word.
_CODES = {
    400: "InvalidParameter.Payload",
    404: "ResourceNotFound.Function",
    409: "ResourceInUse.Function",
    413: "InvalidParameter.RequestTooLarge",
    422: "InvalidParameterValue",
    429: "RequestLimitExceeded",
}


def checked(answer: Answer, codes: Mapping[int, str] | None = None) -> Any:
    """The document of a good answer. Raises ScfError, with the API's own words."""
    if answer.ok:
        return answer.document
    problem = answer.document or {}
    errors = [f"{each.get('pointer') or each.get('parameter')}: {each['detail']}" for each in problem.get("errors", ())]
    message = " ".join(filter(None, (problem.get("detail"), *errors, problem.get("remedy"))))
    code = {**_CODES, **(codes or {})}.get(answer.status, "InternalError.System")
    raise ScfError(code, message)


def answered(values: Mapping[str, Any]) -> Response:
    return Response(status=200, body=orjson.dumps({"Response": {**values, "RequestId": uuid7()}}))


def refused(error: ScfError) -> Response:
    return answered({"Error": {"Code": error.code, "Message": error.message}})
