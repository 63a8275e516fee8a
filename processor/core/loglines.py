"""The line that stands for log lines that were lost.

On the log its number is that of the first of them; as readers are shown it, that of the last: whoever asks for what
comes after it is told of no loss twice.
"""

from __future__ import annotations

import re

_LOST = re.compile(r"\[(\d+) lines? (?:was|were) lost here\]")


def lost_text(count: int) -> str:
    return f"[{count} line{'s' * (count != 1)} {'were' if count != 1 else 'was'} lost here]"


def lost_count(stream: str, text: str) -> int:
    """How many lines this one stands for; 0: it is a line of its own."""
    found = _LOST.fullmatch(text) if stream == "platform" else None
    return int(found[1]) if found else 0
