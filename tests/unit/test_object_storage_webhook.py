from __future__ import annotations

import orjson
import pytest

from triggers.object_storage.webhook import (
    SIGNATURE_HEADER,
    NotificationRefused,
    WebhookAuth,
    auth_of,
    check,
    handshake,
    sign,
)
from triggers.secrets import SecretMissing

NOW = 1_800_000_000
BODY = b'{"Records":[]}'
SIGNED = WebhookAuth(hmac_secret="s3cret")
BEARER = WebhookAuth(bearer="t0ken")


def refusal(
    auth: WebhookAuth, headers: dict[str, str], body: bytes = BODY, now_sec: float = NOW
) -> NotificationRefused:
    with pytest.raises(NotificationRefused) as caught:
        check(auth, headers, body, now_sec=now_sec)
    assert caught.value.status == 401
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("header", ["Bearer t0ken", "bearer t0ken", "Bearer  t0ken "])
def test_the_right_token_is_let_in(header: str) -> None:
    check(BEARER, {"authorization": header}, BODY, now_sec=NOW)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer other", "Basic t0ken", "t0ken", "Bearer t0keñ"])
def test_a_wrong_token_is_not(header: str) -> None:
    refusal(BEARER, {"authorization": header})


def test_a_fresh_signature_of_the_body_is_let_in() -> None:
    check(SIGNED, {SIGNATURE_HEADER: sign("s3cret", BODY, NOW)}, BODY, now_sec=NOW + 299)
    check(SIGNED, {SIGNATURE_HEADER: sign("s3cret", BODY, NOW)}, BODY, now_sec=NOW - 299)


def test_while_a_secret_is_changed_one_of_two_signatures_is_enough() -> None:
    old, new = sign("old", BODY, NOW), sign("s3cret", BODY, NOW)
    check(SIGNED, {SIGNATURE_HEADER: f"{old},{new.partition(',')[2]}"}, BODY, now_sec=NOW)


def test_an_old_signature_is_told_how_old_it_is() -> None:
    assert "400 s" in str(refusal(SIGNED, {SIGNATURE_HEADER: sign("s3cret", BODY, NOW)}, now_sec=NOW + 400))


def test_a_signature_is_good_for_its_body_time_and_secret_only() -> None:
    good = sign("s3cret", BODY, NOW)
    refusal(SIGNED, {SIGNATURE_HEADER: good}, body=BODY + b" ")
    refusal(SIGNED, {SIGNATURE_HEADER: good.replace(str(NOW), str(NOW + 1))})
    refusal(SIGNED, {SIGNATURE_HEADER: sign("other", BODY, NOW)})


@pytest.mark.parametrize(
    "header", ["", "t=1", "v1=00", "t=x,v1=00", "t=1,t=2,v1=00", f"t={'9' * 5_000},v1=0", "t=²,v1=0"]
)
def test_a_signature_that_is_none_is_refused(header: str) -> None:
    refusal(SIGNED, {SIGNATURE_HEADER: header})


def test_with_both_both_have_to_be_right() -> None:
    both = WebhookAuth(bearer="t0ken", hmac_secret="s3cret")
    headers = {"authorization": "Bearer t0ken", SIGNATURE_HEADER: sign("s3cret", BODY, NOW)}
    check(both, headers, BODY, now_sec=NOW)
    refusal(both, {"authorization": "Bearer t0ken"})
    refusal(both, {SIGNATURE_HEADER: headers[SIGNATURE_HEADER]})


def test_without_any_everybody_may() -> None:
    check(WebhookAuth(), {}, BODY, now_sec=NOW)


def test_secrets_come_from_the_environment_and_are_never_shown() -> None:
    source = {"path": "/x", "token_env": "TOKEN", "hmac_env": "SECRET", "window": 60.0}
    auth = auth_of(source, {"TOKEN": "t0ken\n", "SECRET": "s3cret"})
    assert auth == WebhookAuth(bearer="t0ken", hmac_secret="s3cret", window_sec=60)
    assert "t0ken" not in repr(auth)
    assert "s3cret" not in repr(auth)
    with pytest.raises(SecretMissing, match="TOKEN") as caught:
        auth_of(source, {"TOKEN": " ", "SECRET": "s"})
    assert "TOKEN" in caught.value.remedy


def test_azure_asks_by_options_and_is_told_yes() -> None:
    answer = handshake("OPTIONS", {"webhook-request-origin": "eventgrid.example"}, b"")
    assert answer is not None
    assert (answer.status, answer.headers) == (200, {"webhook-allowed-origin": "eventgrid.example"})
    asked_by_others = handshake("OPTIONS", {}, b"")
    assert asked_by_others is not None
    assert asked_by_others.headers == {"allow": "POST, OPTIONS"}


def test_azure_asks_by_a_code_and_gets_it_back() -> None:
    event = {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "512d38b6"}}
    answer = handshake("POST", {"aeg-event-type": "SubscriptionValidation"}, orjson.dumps([event]))
    assert answer is not None
    assert orjson.loads(answer.body) == {"validationResponse": "512d38b6"}
    assert handshake("POST", {"aeg-event-type": "Notification"}, orjson.dumps([event])) is None
    assert handshake("POST", {"aeg-event-type": "SubscriptionValidation"}, b"[{}]") is None


@pytest.mark.parametrize(
    "body", [b"", b"x", b"{}", b'{"TopicArn":"arn:t","SubscribeURL":"https://sns.example/?Token=1"}']
)
def test_a_confirmation_of_sns_is_refused_with_what_to_do(body: bytes) -> None:
    with pytest.raises(NotificationRefused) as caught:
        handshake("POST", {"x-amz-sns-message-type": "SubscriptionConfirmation"}, body)
    assert caught.value.status == 400
    assert "sqs" in caught.value.remedy
    assert body.count(b"sns.example") == str(caught.value).count("sns.example")


def test_a_notification_is_no_handshake() -> None:
    assert handshake("POST", {"x-amz-sns-message-type": "Notification"}, BODY) is None
    assert handshake("POST", {}, BODY) is None
