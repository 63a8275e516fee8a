"""Clients of AWS, and of what speaks like it, made of a trigger's settings; their failures as states with a remedy."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from processor.core.errors import HeadraceError

CONNECT_SEC = 5.0
#: Beside what a long poll waits.
READ_SEC = 8.0
#: Three tries, one after the other at once: what lasts longer is a state of the trigger.
ATTEMPTS = 3
#: Where a region is part of the signature but nobody checks it.
ANY_REGION = "us-east-1"
_QUEUE_REGION = re.compile(r"https?://(?:sqs\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.")

_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "MissingAuthenticationToken",
        "AuthFailure",
    }
)
_RIGHTS = frozenset(
    {"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "403", "Forbidden", "KMS.AccessDeniedException"}
)
_GONE = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "com.amazonaws.sqs#QueueDoesNotExist",
        "NoSuchBucket",
        "404",
        "AWS.SimpleQueueService.QueueDeletedRecently",
    }
)


class StoreError(HeadraceError):
    """The queue or the bucket could not be used."""

    remedy = "The message says what the service answered; the trigger tries again by itself."


class StorageExtraMissing(StoreError):
    """The library for S3 and SQS (boto3) is not installed."""

    remedy = "Install it, `pip install 'headrace[storage]'`, and start the triggers role again."


class CredentialsRefused(StoreError):
    """The credentials are missing, wrong or have expired."""

    remedy = (
        "Renew them where boto3 finds them (AWS_PROFILE, ~/.aws/credentials, the machine's role) or, with "
        "access_key_env, in the environment; new ones in files and roles count at the next try, without a restart."
    )


class StoreForbids(StoreError):
    """The credentials are good, but may not do this."""

    remedy = (
        "Allow sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility and sqs:GetQueueAttributes on the "
        "queue; to reconcile, s3:ListBucket on the bucket."
    )


class Gone(StoreError):
    """The queue or the bucket does not exist."""

    remedy = "Create it again, or correct its name in the manifest and deploy; the trigger goes on once it is there."


class EndpointAway(StoreError):
    """The service does not answer."""

    remedy = "Check endpoint_url or region in the manifest, and the network; the trigger goes on once it answers."


class KeysMissing(StoreError):
    """The keys of a trigger are not in the environment of this process."""

    remedy = "Set the variables named access_key_env and secret_key_env for the triggers role, and start it again."


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Where a service is, and with whose keys."""

    region: str | None = None
    endpoint_url: str | None = None
    access_key_env: str | None = None
    secret_key_env: str | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Access:
        names = ("region", "endpoint_url", "access_key_env", "secret_key_env")
        return cls(**{name: settings.get(name) for name in names})


def client(service: str, access: Access, environment: Mapping[str, str], *, wait_sec: float = 0, pool: int = 10) -> Any:
    """A thread-safe boto3 client. Blocks while it reads boto3's files. A new one of a new session sees new credentials.

    wait_sec: what a call may wait at the service. Raises StoreError.
    """
    session_of, config_of = _library()
    config = config_of(
        connect_timeout=CONNECT_SEC,
        read_timeout=READ_SEC + wait_sec,
        max_pool_connections=pool,
        # Named, because botocore has changed its default; adaptive would slow all pollers for the fault of one.
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        s3={"addressing_style": "path"} if access.endpoint_url else {},
    )
    with naming_errors(service), _naming_addresses(service):
        session = session_of(**_keys(access, environment), region_name=access.region)
        region = session.region_name or ANY_REGION
        return session.client(service, endpoint_url=access.endpoint_url, region_name=region, config=config)


@contextlib.contextmanager
def _naming_addresses(what: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:  # botocore's way to refuse an address
        raise EndpointAway(f"{what}: {str(error)[:300]}") from error


def _library() -> tuple[Any, Any]:
    """Loaded at the first use: it takes 0.2 s and 30 MB, and most installations have no use for it."""
    try:
        return import_module("boto3.session").Session, import_module("botocore.config").Config
    except ImportError as error:
        raise StorageExtraMissing from error


def region_of_queue(queue_url: str) -> str | None:
    found = _QUEUE_REGION.match(queue_url)
    return found[1] if found else None


@contextlib.contextmanager
def naming_errors(what: str) -> Iterator[None]:
    """Everything that boto3 raises inside becomes a StoreError."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _of_answer(what, error.response) from error
    except BotoCoreError as error:
        raise _of_library(what, error) from error


def _of_answer(what: str, response: Mapping[str, Any]) -> StoreError:
    code = str(response.get("Error", {}).get("Code", ""))
    text = f"{what}: {code}: {str(response.get('Error', {}).get('Message', ''))[:300]}"
    if code in _CREDENTIALS:
        return CredentialsRefused(text)
    if code in _RIGHTS:
        return StoreForbids(text)
    if code in _GONE:
        return Gone(text)
    if int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500:
        return EndpointAway(text)
    return StoreError(text)


def _of_library(what: str, error: Exception) -> StoreError:
    from botocore import exceptions

    text = f"{what}: {str(error)[:300]}"
    credentials = (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.ProfileNotFound,
        exceptions.TokenRetrievalError,
        exceptions.SSOError,
    )
    away = (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.EndpointProviderError)
    if isinstance(error, credentials):
        return CredentialsRefused(text)
    return EndpointAway(text) if isinstance(error, away) else StoreError(text)


def _keys(access: Access, environment: Mapping[str, str]) -> dict[str, str]:
    """Raises KeysMissing."""
    if not access.access_key_env or not access.secret_key_env:
        return {}
    missing = [name for name in (access.access_key_env, access.secret_key_env) if not environment.get(name)]
    if missing:
        raise KeysMissing(f"not set in the environment: {', '.join(missing)}")
    return {
        "aws_access_key_id": environment[access.access_key_env],
        "aws_secret_access_key": environment[access.secret_key_env],
    }
