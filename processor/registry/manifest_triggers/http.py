from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from processor.registry.manifest_shape import EnvName, Shape, Text, mistake

_METHODS = ("ANY", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PARAMETER = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]{0,63})\}")
#: Longer ones are answered 414 by the listener.
_MAX_PATH_CHARS = 2_048


def _path(path: str) -> str:
    if not path.startswith("/") or any(mark in path for mark in "?# ") or len(path) > _MAX_PATH_CHARS:
        raise mistake(
            "is not a path",
            f"begin with / and leave out ?, # and spaces, such as /thumb; at most {_MAX_PATH_CHARS:,} characters",
        )
    if any(part in (".", "..") for part in path.split("/")):
        raise mistake("has a part . or .., which no client sends", "write the path that is called")
    return path


def _template(path: str) -> str:
    names = []
    for part in _path(path).split("/"):
        named = _PARAMETER.fullmatch(part)
        if named is not None:
            names.append(named[1])
        elif "{" in part or "}" in part:
            raise mistake("has a brace inside a part", "let a parameter be a whole part, such as /orders/{id}")
    if len(set(names)) < len(names):
        raise mistake("names a parameter twice", "give each its own name, such as /shops/{shop}/orders/{order}")
    return path


def _methods(value: Any) -> Any:
    """A list in any case."""
    methods = value if isinstance(value, list) else [value]
    if not methods or any(each not in _METHODS for each in methods):
        raise mistake("is no HTTP method", f"write one of {', '.join(_METHODS)}, or a list of them")
    return methods


HttpPath = Annotated[Text, AfterValidator(_path)]
PathTemplate = Annotated[Text, AfterValidator(_template)]
_METHOD_SCHEMA = {"enum": [*_METHODS]}
Methods = Annotated[
    list[str],
    BeforeValidator(_methods),
    WithJsonSchema({"anyOf": [_METHOD_SCHEMA, {"type": "array", "items": _METHOD_SCHEMA, "minItems": 1}]}),
]


class HttpTrigger(Shape):
    path: PathTemplate = Field(description="Path of the webhook listener, such as /orders or /orders/{id}.")
    method: Methods = Field("POST", validate_default=True, description="One method, several, or ANY.")
    token_env: EnvName | None = Field(
        None, description="Environment variable of the triggers role with the bearer token that callers must send."
    )
    event_format: Literal["cloudevents", "data", "scf", "aws"] = Field(
        "cloudevents",
        description="What the handler gets: a CloudEvent, the body alone, or the event of an API gateway "
        "(scf: Tencent's; aws: HTTP API payload 2.0).",
    )


class CloudEventsTrigger(Shape):
    """Events that come to POST /v1/events and name no function."""

    event_format: Literal["data", "cloudevents"] = Field(
        "cloudevents", description="What the handler gets: the event's data alone, or the whole CloudEvent."
    )
    type: Text = Field("*", description='Events of this type; * and ? stand for any text: "com.example.order.*".')
    source: Text = Field("*", description='Events of this source, with * and ? as above: "/shop/*".')
