"""SASL and TLS: given in librdkafka's names, handed to aiokafka in its own."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from processor.transport.abstract import TransportError

_PREFIXES = ("security.", "sasl.", "ssl.", "enable.ssl.")

#: What aiokafka can be told. Anything else is refused at start: half a security setting is none.
_PLAIN = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "sasl.kerberos.service.name": "sasl_kerberos_service_name",
}
_TLS = frozenset(
    {
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.endpoint.identification.algorithm",
        "enable.ssl.certificate.verification",
    }
)
_MECHANISMS = frozenset({"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI"})


def checked(security: Mapping[str, str]) -> dict[str, str]:
    """For librdkafka. Raises TransportError for anything that is not about security."""
    strange = sorted(name for name in security if not name.startswith(_PREFIXES))
    if strange:
        raise TransportError(f"not a security setting of Kafka: {', '.join(strange)}")
    return dict(security)


def for_asyncio(security: Mapping[str, str]) -> dict[str, object]:
    """For aiokafka. Raises TransportError for what it cannot do."""
    strange = sorted(set(security) - set(_PLAIN) - _TLS)
    if strange:
        raise TransportError(f"the asyncio client has no setting for {', '.join(strange)}")
    found: dict[str, object] = {_PLAIN[name]: value for name, value in security.items() if name in _PLAIN}
    protocol = security.get("security.protocol", "PLAINTEXT").upper()
    found["security_protocol"] = protocol
    mechanism = found.get("sasl_mechanism", "PLAIN")
    if protocol.startswith("SASL") and mechanism not in _MECHANISMS:
        raise TransportError(f"the asyncio client cannot do SASL {mechanism}; use one of {sorted(_MECHANISMS)}")
    if protocol.endswith("SSL"):
        found["ssl_context"] = _tls(security)
    return found


def _tls(security: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=security.get("ssl.ca.location"))
        if certificate := security.get("ssl.certificate.location"):
            context.load_cert_chain(certificate, security.get("ssl.key.location"), security.get("ssl.key.password"))
    except OSError as error:  # ssl.SSLError is one
        raise TransportError(f"the TLS files cannot be used: {error}") from error
    if security.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
        context.check_hostname = False
    if security.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
