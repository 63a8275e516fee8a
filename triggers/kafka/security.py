"""The `security` of a binding, as aiokafka wants it. Secrets come out of the environment and are kept nowhere else."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from triggers.kafka.errors import SecurityFilesUnusable
from triggers.secrets import secret_from


def client_options(security: Mapping[str, Any] | None, environment: Mapping[str, str]) -> dict[str, object]:
    """Reads the TLS files. Raises SecretMissing, SecurityFilesUnusable."""
    if not security:
        return {}
    options: dict[str, object] = {"security_protocol": security["protocol"]}
    if mechanism := security.get("mechanism"):
        options["sasl_mechanism"] = mechanism
        options["sasl_plain_username"] = security["username"]
        options["sasl_plain_password"] = secret_from(environment, security["password_env"])
    if str(security["protocol"]).endswith("SSL"):
        options["ssl_context"] = _tls(security, environment)
    return options


def _tls(security: Mapping[str, Any], environment: Mapping[str, str]) -> ssl.SSLContext:
    variable = security.get("key_password_env")
    password = secret_from(environment, variable) if variable else None
    try:
        context = ssl.create_default_context(cafile=security.get("ca_file"))
        if certificate := security.get("certificate_file"):
            context.load_cert_chain(certificate, security.get("key_file"), password)
    except OSError as error:  # ssl.SSLError is one
        raise SecurityFilesUnusable(str(error)) from error
    context.check_hostname = bool(security.get("verify_hostname", True))
    return context
