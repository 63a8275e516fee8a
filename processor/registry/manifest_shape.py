"""What every part of functions.yaml is made of: its strictness, its errors, its texts and quantities."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from processor.registry.quantities import DURATION_PATTERN, BadQuantity, duration_sec

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)


def mistake(message: str, remedy: str) -> PydanticCustomError:
    """What every check of ours raises; `manifest` makes a Problem of it."""
    return PydanticCustomError("headrace", "{message}; {remedy}", {"message": message, "remedy": remedy})


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """Metadata of a text that must look in a certain way. what: as in "is not a region"."""

    pattern: str
    what: str
    remedy: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^({self.pattern})$"}

    def _checked(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise mistake(f"is not {self.what}", self.remedy)
        return text


@dataclass(frozen=True, kw_only=True, slots=True)
class Duration:
    """Metadata of seconds: a number, or text such as 1h30m."""

    low: str
    high: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(checked(self._seconds), handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"type": "number", "minimum": 0}]}

    def _seconds(self, value: object) -> float:
        return duration_sec(value, low=self.low, high=self.high)


def checked(parse: Callable[[object], float]) -> Callable[[object], float]:
    """parse, which raises BadQuantity, as a validator."""

    def check(value: object) -> float:
        try:
            return parse(value)
        except BadQuantity as error:
            raise mistake(error.message, error.remedy) from error

    return check


def one_of(kind: type[BaseModel], what: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, dict):
            known = [name for name in value if name in kind.model_fields]
            if len(value) != 1 or (known and value[known[0]] is None):
                choices = ", ".join(kind.model_fields)
                raise mistake(f"must have exactly one {what} with its settings", f"write one of {choices}")
        return value

    return check


EXACTLY_ONE: dict[str, Any] = {"minProperties": 1, "maxProperties": 1}


def _printable(text: str) -> str:
    if _CONTROL.search(text):
        raise mistake("has a control character, such as the end of a line", "leave it out")
    return text


def _env_name(name: str) -> str:
    if not ENV_NAME.fullmatch(name):
        raise mistake("is not the name of an environment variable", "use letters, digits and _, such as HOOK_TOKEN")
    return name


#: May be empty.
Line = Annotated[str, AfterValidator(_printable)]
Text = Annotated[str, Field(min_length=1), AfterValidator(_printable)]
EnvName = Annotated[str, AfterValidator(_env_name)]
