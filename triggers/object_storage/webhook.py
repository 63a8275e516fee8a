"""Pure: what a POST to a storage trigger's path means. The HTTP listener (triggers/http) asks, in this order:

1. `handshake(method, headers, body)`: an Answer is all there is to do. Raises NotificationRefused.
2. `check(auth, headers, body, now_sec=...)`: raises NotificationRefused.
3. `Desk(intake, binding).deliver(body, origin=..., headers=headers)`: when it has returned, 202.

Header names come in lower case. Answer 503 for what may be better later, never 400, 401, 403 or 413: Azure gives the
event up after those.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from processor.core.errors import HeadraceError
from triggers.object_storage.azure import validation_code
from triggers.object_storage.fields import text
from triggers.secrets import is_bearer, same_secret, secret_from

#: t=<Unix seconds>,v1=<hex HMAC-SHA256 of "<t>." and the body>; several v1 while a secret is being changed.
SIGNATURE_HEADER = "headrace-signature"
#: How far the sender's clock may be off, and for how long a request that somebody recorded could be sent again.
WINDOW_SEC = 300.0


class NotificationRefused(HeadraceError):
    """The request is not taken."""

    def __init__(self, status: int, message: str, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookAuth:
    """How a sender shows that it may send: by all that is set. By nothing: everybody may."""

    bearer: str | None = field(default=None, repr=False)
    hmac_secret: str | None = field(default=None, repr=False)
    window_sec: float = WINDOW_SEC


def auth_of(source: Mapping[str, Any], environment: Mapping[str, str]) -> WebhookAuth:
    """source: the manifest's `webhook`. Raises SecretMissing."""
    token, secret = source.get("token_env"), source.get("hmac_env")
    return WebhookAuth(
        bearer=secret_from(environment, token) if token else None,
        hmac_secret=secret_from(environment, secret) if secret else None,
        window_sec=float(source.get("window") or WINDOW_SEC),
    )


def handshake(method: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
    """Azure asks before it sends, in one of two ways; it cannot sign that, and learns nothing by it. SNS asks too, but
    wants an address opened that anybody could have written: that is refused. None: nobody asks anything.
    """
    if method == "OPTIONS":
        origin = headers.get("webhook-request-origin", "")
        return Answer(status=200, headers={"webhook-allowed-origin": origin} if origin else {"allow": "POST, OPTIONS"})
    if headers.get("x-amz-sns-message-type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        raise _unconfirmed(body)
    if headers.get("aeg-event-type") == "SubscriptionValidation":
        code = validation_code(_json(body))
        if code is not None:
            return _json_answer({"validationResponse": code})
    return None


def check(auth: WebhookAuth, headers: Mapping[str, str], body: bytes, *, now_sec: float) -> None:
    """now_sec: Unix time. Raises NotificationRefused with 401."""
    if auth.bearer is not None and not is_bearer(headers.get("authorization", ""), auth.bearer):
        raise _unauthorized("the bearer token is missing or wrong", "Send `Authorization: Bearer TOKEN`.")
    if auth.hmac_secret is not None:
        _check_signature(auth.hmac_secret, auth.window_sec, headers.get(SIGNATURE_HEADER, ""), body, now_sec)


def sign(secret: str, body: bytes, at_sec: int) -> str:
    """The value of the signature header."""
    return f"t={at_sec},v1={_digest(secret, body, at_sec)}"


def _check_signature(secret: str, window_sec: float, header: str, body: bytes, now_sec: float) -> None:
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t" and value.isascii() and value.isdecimal()]
    signatures = [value for name, _, value in parts if name == "v1"]
    if len(times) != 1 or len(times[0]) > 12 or not signatures:
        raise _unauthorized("the signature is missing", "Send `Headrace-Signature: t=UNIX_SECONDS,v1=HEX_HMAC_SHA256`.")
    at_sec = int(times[0])
    if not any(same_secret(each, _digest(secret, body, at_sec)) for each in signatures):
        raise _unauthorized("the signature is wrong", "Sign `<t>.<body>`, byte for byte as sent, with the same secret.")
    if abs(now_sec - at_sec) > window_sec:
        raise _unauthorized(
            f"the signature is {abs(now_sec - at_sec):.0f} s away from now; {window_sec:g} s are allowed",
            "Sign each request when it is sent, and set the clocks of both machines (NTP).",
        )


def _digest(secret: str, body: bytes, at_sec: int) -> str:
    return hmac.new(secret.encode(), b"%d.%b" % (at_sec, body), hashlib.sha256).hexdigest()


def _unauthorized(message: str, remedy: str) -> NotificationRefused:
    return NotificationRefused(401, message, remedy)


def _unconfirmed(body: bytes) -> NotificationRefused:
    document = _json(body)
    topic, url = text(document, "TopicArn") or "a topic", text(document, "SubscribeURL") or "none"
    return NotificationRefused(
        400,
        f"{topic[:300]} wants its subscription confirmed; its SubscribeURL: {url[:1000]}",
        "Open that address yourself if the topic is yours, or subscribe an SQS queue and use `source: sqs`.",
    )


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _json_answer(document: dict[str, str]) -> Answer:
    return Answer(status=200, headers={"content-type": "application/json"}, body=orjson.dumps(document))
