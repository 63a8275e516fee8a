"""What the bodies of requests may be."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from processor.core.control import MAX_GRACE_SEC
from processor.gateway.schemas.parameters import RunFilter


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CancelBody(Body):
    grace: Annotated[float, Field(ge=0, le=MAX_GRACE_SEC, allow_inf_nan=False)] = Field(
        default=0.0, description="Seconds between SIGTERM and SIGKILL; 0: killed at once."
    )


class RedriveBody(Body):
    function: str | None = Field(
        default=None, description="For which function, when the record names none.", max_length=200
    )


class ReplayBody(Body):
    """Nothing in it: the same event again."""

    id: str | None = Field(
        default=None,
        description="Names this replay: the same id again is the same new run. A fresh one when left out.",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
    )
    data: Any = Field(default=None, description="What the event carries instead; any JSON.")

    @property
    def is_edited(self) -> bool:
        return "data" in self.model_fields_set


class BulkBody(Body):
    """Cancels or replays every run that the filter finds; at most 10,000."""

    action: Literal["cancel", "replay"]
    filter: dict[str, str] = Field(
        description="The filters of GET /v1/runs: " + ", ".join(RunFilter.model_fields) + ".",
        json_schema_extra={
            "additionalProperties": False,
            "properties": {name: {"type": "string"} for name in RunFilter.model_fields},
        },
    )
    preview: bool = Field(default=False, description="Only count, and show the first 20.")
    grace: Annotated[float, Field(ge=0, le=MAX_GRACE_SEC, allow_inf_nan=False)] = Field(
        default=0.0, description="Of a cancel: seconds between SIGTERM and SIGKILL."
    )

    @model_validator(mode="after")
    def _something(self) -> BulkBody:
        if not self.filter:
            raise ValueError("a filter without any condition would take every run: give at least one")
        return self
