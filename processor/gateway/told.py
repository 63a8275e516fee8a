from __future__ import annotations

from collections import OrderedDict

import orjson

from processor.recorder.store import RunDocument

#: The recorder is milliseconds behind, seconds in bad times.
LIMIT_BYTES = 16_777_216


class ToldEnds:
    """Ends that this gateway has told somebody before the recorder had them: what was told is not taken back."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        #: As JSON, so that nobody changes what another one gets.
        self._ends: OrderedDict[str, bytes] = OrderedDict()

    def add(self, document: RunDocument) -> None:
        """document: of a run that has ended."""
        told = orjson.dumps(document)
        self._bytes += len(told) - len(self._ends.pop(document["request_id"], b""))
        self._ends[document["request_id"]] = told
        while self._bytes > self._limit_bytes:
            _, oldest = self._ends.popitem(last=False)
            self._bytes -= len(oldest)

    def over(self, document: RunDocument) -> RunDocument:
        """document: what the history says of a run that has not ended there. A further delivery of the same RequestId
        is not what was told of.
        """
        told = self._ends.get(document["request_id"])
        if told is None:
            return document
        ended: RunDocument = orjson.loads(told)
        return document if document.get("deliveries", 1) > ended.get("deliveries", 1) else ended
