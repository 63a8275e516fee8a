from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from processor.registry.manifest_shape import Duration, Shape, Text

Settle = Annotated[float, Duration(low="0s", high="1h")]


class FolderTrigger(Shape):
    path: Text = Field(description="Folder to watch, relative to the manifest.")
    pattern: Text = Field("*", description='File names, such as "*.png" (in quotes).')
    settle: Settle | None = Field(
        None, description="0s..1h a file must be unchanged after a close, for writers that close and go on."
    )
    event_format: Literal["cloudevents", "data", "scf", "aws"] = Field(
        "cloudevents", description="What the handler gets; scf: the event of COS, aws: that of S3, with the path added."
    )
