from __future__ import annotations

from triggers.sqs.queue import MAX_MESSAGES

#: A batch should be durable within this part of the time for which its messages are hidden: what takes longer comes
#: again although it is in hand, takes the function's rate a second time, and counts towards the dead-letter queue.
SHARE = 0.25


class Pace:
    """How many messages to take at a time: more as long as they are done soon, fewer when the function's rate (or a
    broker that is away) holds them up. Begins with one, because nobody tells what the rate is.
    """

    def __init__(self) -> None:
        self.count = 1

    def note(self, took_sec: float, hidden_sec: float) -> None:
        if took_sec > hidden_sec * SHARE:
            self.count = max(1, self.count // 2)
        elif took_sec < hidden_sec * SHARE / 4:
            self.count = min(MAX_MESSAGES, self.count * 2)
