"""Why brokers do not let a client in. librdkafka lets every call of such a client run out of time, as if nobody were
there; it tells the reason to its error callback alone, and that all certificates that fail alike.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping

from confluent_kafka import KafkaError

from processor.core.certificates import remedy_of
from processor.transport.abstract import NotLetIn
from processor.transport.kafka.security import for_asyncio

_HANDSHAKE_SEC = 2.0
_DEFAULT_PORT = 9092


class TlsFailed(NotLetIn):
    """There is no TLS connection to the brokers."""

    remedy = "Correct security.protocol and ssl.* of kafka.security."


class LoginRefused(NotLetIn):
    """The brokers refuse the login."""

    remedy = "Correct sasl.mechanism, sasl.username or sasl.password of kafka.security, or the account on the broker."


class CertificateRefused(TlsFailed):
    """The certificate of the brokers is not trusted."""


class Entry:
    """One for each client that is asked for the reason; `note` is its error callback."""

    def __init__(self, bootstrap_servers: str, security: Mapping[str, str]) -> None:
        self._servers = bootstrap_servers
        self._security = dict(security)
        self._refusal: KafkaError | None = None

    def note(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._SSL, KafkaError._AUTHENTICATION):
            self._refusal = error

    def refusal(self) -> NotLetIn | None:
        """None: there was none since the last call. Blocks for two seconds at most, to look at a certificate."""
        error, self._refusal = self._refusal, None
        if error is None:
            return None
        if error.code() == KafkaError._AUTHENTICATION:
            return LoginRefused(f"the broker refuses the login: {error.str()}")
        return self._distrust() or TlsFailed(f"the TLS connection to the broker failed: {error.str()}")

    def _distrust(self) -> CertificateRefused | None:
        """Python's own TLS says what is wrong with a certificate."""
        context = for_asyncio(self._security).get("ssl_context")
        assert isinstance(context, ssl.SSLContext)  # there is no _SSL error without TLS
        host, port = _first(self._servers)
        try:
            with socket.create_connection((host, port), _HANDSHAKE_SEC) as plain:
                context.wrap_socket(plain, server_hostname=host).close()
        except ssl.SSLCertVerificationError as error:
            return CertificateRefused(
                f"the certificate of the broker at {host}:{port} is not trusted: {error.verify_message}",
                remedy=remedy_of(
                    error, authority="ssl.ca.location of kafka.security", servers="HEADRACE_KAFKA__BOOTSTRAP_SERVERS"
                ),
            )
        except OSError:
            return None
        return None


def _first(servers: str) -> tuple[str, int]:
    host, _, port = servers.split(",")[0].strip().rpartition("://")[2].rpartition(":")
    with contextlib.suppress(ValueError):
        return host.strip("[]"), int(port)
    return port, _DEFAULT_PORT
