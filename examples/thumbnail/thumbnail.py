"""A picture from a watched folder becomes a small JPEG in the folder `thumbnails` beside it."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """event: {"path": absolute path, ...}, as the folder trigger makes it. Returns where the thumbnail is."""
    from PIL import Image, ImageOps  # here: an idle instance need not hold Pillow in memory

    source = path_of(event)
    size = int(os.environ.get("SIZE", "256"))
    target = source.parent.parent / "thumbnails" / f"{source.stem}.jpg"
    with Image.open(source) as picture:
        print(f"{source.name}: {picture.width} x {picture.height} {picture.format}, {source.stat().st_size:,} bytes")
        picture.draft("RGB", (2 * size, 2 * size))  # lets a large JPEG be decoded at a fraction of its size
        small = ImageOps.exif_transpose(picture).convert("RGB")
        small.thumbnail((size, size))
    save_whole(small, target, context.aws_request_id)
    print(f"thumbnail: {small.width} x {small.height}, {target.stat().st_size:,} bytes")
    return {"thumbnail": str(target), "width": small.width, "height": small.height}


def path_of(event: dict[str, Any]) -> Path:
    """pathBase64 is there when the name is no UTF-8."""
    raw = event.get("pathBase64")
    return Path(os.fsdecode(base64.b64decode(raw)) if raw else event["path"])


def save_whole(picture: Any, target: Path, unique: str) -> None:
    """Nobody ever sees half a thumbnail, and two runs for one name do not mix."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{unique}")
    picture.save(unfinished, "JPEG", quality=85)
    unfinished.replace(target)
