from __future__ import annotations

import hashlib


def name_of(cron: str, timezone: str) -> str:
    """Of a schedule that was given none, out of its times alone: with any other setting edited it stays the same
    schedule, and a time that the old one has fired is not fired again by the new one. Edited times are another one,
    unless a name says otherwise.
    """
    times = f"{' '.join(cron.upper().split())} {timezone}"
    return f"t{hashlib.sha256(times.encode()).hexdigest()[:10]}"
