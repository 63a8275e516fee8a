"""The handler's second argument: a dict as on Tencent SCF, with the attributes of AWS Lambda's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from . import linux

#: Tells how far the run is: (fraction, message).
Tell = Callable[[float, object], None]


class Identity:
    """Of a mobile SDK's user on AWS; never set here."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


class Context(dict[str, Any]):
    """Valid during its run only."""

    identity = Identity()

    def __init__(self, facts: Mapping[str, Any], head: Mapping[str, Any], tell: Tell) -> None:
        super().__init__(facts)
        meta = head.get("meta") or {}
        self.update(meta)
        self["request_id"] = head["id"]
        self["time_limit_in_ms"] = int(head["timeout"] * 1000)
        self.aws_request_id: str = head["id"]
        self.client_context: Any = meta.get("client_context")
        self._ends_at_sec: float = head["ends"]
        self._tell = tell

    @property
    def function_name(self) -> str:
        return str(self["function_name"])

    @property
    def function_version(self) -> str:
        return str(self["function_version"])

    @property
    def memory_limit_in_mb(self) -> int:
        return int(self["memory_limit_in_mb"])

    @property
    def log_group_name(self) -> str:
        return os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "")

    @property
    def log_stream_name(self) -> str:
        return os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")

    @property
    def invoked_function_arn(self) -> str:
        """In the form that code takes apart; nothing stands behind it."""
        region = os.environ.get("AWS_REGION", "us-east-1")
        return f"arn:aws:lambda:{region}:000000000000:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return max(int((self._ends_at_sec - linux.boottime()) * 1000), 0)

    def progress(self, fraction: float, message: object = "") -> None:
        """Says how far the run is, from 0 to 1, and what it is at; people see it while the run goes on. Cheap enough
        for every turn of a loop: only the last of half a second is passed on. Raises TypeError when fraction is no
        number.
        """
        self._tell(fraction, message)

    def log(self, text: object) -> None:
        print(text)  # noqa: T201  # Lambda's context does exactly this


def facts_of(environ: Mapping[str, str]) -> dict[str, Any]:
    """The part of every context that the environment of the function version decides."""
    namespace = environ.get("SCF_NAMESPACE", "default")
    return {
        "function_name": environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        "function_version": environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
        "memory_limit_in_mb": int(environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0")),
        "namespace": namespace,
        "environ": f"SCF_NAMESPACE={namespace}",
        "environment": f'{{"SCF_NAMESPACE":"{namespace}"}}',
        "tencentcloud_region": environ.get("TENCENTCLOUD_REGION", ""),
        "tencentcloud_appid": environ.get("TENCENTCLOUD_APPID", ""),
        "tencentcloud_uin": environ.get("TENCENTCLOUD_UIN", ""),
    }
