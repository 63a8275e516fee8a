"""Which of two changes of one object came later. Between two objects no provider says anything."""

from __future__ import annotations

from triggers.object_storage.change import Provider

#: More hexadecimal digits than any S3 has written so far (18), more decimal ones than a 64-bit number has (20).
_HEX_DIGITS = 40
_NUMBER_DIGITS = 20
_NUMBERS = frozenset({Provider.GCS, Provider.VERSITYGW})


def order_of(provider: Provider, sequencer: str | None) -> str | None:
    """A text that is greater for the later change of the same key of the same bucket, whatever the provider: S3 says
    to fill up the shorter one with zeros on its right, GCS and VersityGW count, Azure compares as it is.
    """
    if not sequencer:
        return None
    if provider in _NUMBERS:
        return sequencer.zfill(_NUMBER_DIGITS) if sequencer.isdecimal() and sequencer.isascii() else None
    if provider is Provider.AZURE:
        return sequencer
    return sequencer.upper().ljust(_HEX_DIGITS, "0")
