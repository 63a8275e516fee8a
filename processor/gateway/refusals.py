"""What pydantic found wrong with a request, as one refusal that lists everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic_core import ValidationError

from processor.gateway.schemas.parameters import Query
from processor.http.problems import Refused, bad_request

Q = TypeVar("Q", bound=Query)
_UNKNOWN = "extra_forbidden"
#: Of a value in a message; a caller knows what he sent.
_SHOWN_CHARS = 200


def parse_query(model: type[Q], query: Mapping[str, str]) -> Q:
    """Raises Refused (400) that lists everything that is wrong."""
    try:
        return model.model_validate(query)
    except ValidationError as error:
        raise refused_query(error.errors(), list(model.model_fields)) from None


def refused_unknown(names: Iterable[str]) -> Refused:
    return refused_query([{"type": _UNKNOWN, "loc": (name,)} for name in sorted(names)], [])


def refused_query(errors: Iterable[Mapping[str, Any]], known: Sequence[str]) -> Refused:
    """errors: as pydantic lists them, with the parameter's name at the end of `loc`."""
    told = sorted(errors, key=lambda each: each["type"] != _UNKNOWN)  # who misspells one means a known one
    named = [{"parameter": str(each["loc"][-1]), "detail": _parameter(each)} for each in told]
    remedy = f"Parameters of this address: {', '.join(known) or 'none'}."
    return bad_request("; ".join(each["detail"] for each in named), remedy=remedy, errors=named)


def refused_body(errors: Iterable[Mapping[str, Any]]) -> Refused:
    named = [{"pointer": _pointer(each), "detail": _member(each)} for each in errors]
    remedy = "/openapi.json says what this address takes."
    return bad_request("; ".join(each["detail"] for each in named), remedy=remedy, errors=named)


def _parameter(error: Mapping[str, Any]) -> str:
    name = str(error["loc"][-1])
    if error["type"] == _UNKNOWN:
        return f"{name!r} is not a parameter of this address"
    return f"{name}={_shown(error.get('input'))} is not {_expected(error)}"


def _expected(error: Mapping[str, Any]) -> str:
    return str(error["msg"]) if error["type"] == "not_expected" else f"understood: {error['msg']}"


def _member(error: Mapping[str, Any]) -> str:
    place = _pointer(error)
    if error["type"] == "json_invalid":
        return f"the body is not JSON: {error['ctx']['error']} at character {error['loc'][-1]}"
    if error["type"] == _UNKNOWN:
        return f"{place}: there is no such member"
    return f"{place or 'the body'}: {error['msg']}"


def _pointer(error: Mapping[str, Any]) -> str:
    place = error["loc"][1:] if error["type"] != "json_invalid" else ()
    return "".join(f"/{str(each).replace('~', '~0').replace('/', '~1')}" for each in place)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
