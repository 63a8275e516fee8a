"""A broker that wants a login, has listeners with certificates good and bad, and grants rights one by one."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import admin
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.kafka.broker import LOOPBACK, LocalKafka, free_ports
from tests.broker import ANSWER_LIMIT_SEC, warm

USER, PASSWORD, VARIABLE = "alice", "right", "TEST_KAFKA_PASSWORD"
#: May do everything, and logs in with SCRAM only.
OPERATOR = "operator"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
#: Listeners beside the open one: their protocol, and which of the broker's certificates they show.
_LISTENERS = {
    "SASL_PLAINTEXT": ("SASL_PLAINTEXT", None),
    "SECURED": ("SASL_SSL", "broker"),
    "EXPIRED": ("SASL_SSL", "expired"),
    "ELSEWHERE": ("SASL_SSL", "elsewhere"),
    "MUTUAL": ("SSL", "broker"),
}
_Admin: Any = admin  # its types do not export what a right is made of
_MODULES = "org.apache.kafka.common.security"
_PLAIN_LOGIN = f'{_MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
_SCRAM_LOGIN = f"{_MODULES}.scram.ScramLoginModule required;"
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Signed:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


class Authority:
    """A certificate authority of the tests, and the PEM files of what it has signed, in one folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._own = _signed(name, None, age=_DAY, days=2, host=None)
        self.ca_file = folder / f"{name}-ca.pem"
        self.ca_file.write_bytes(_pem(self._own.certificate))

    def sign(self, name: str, *, age: datetime.timedelta = _DAY, days: int = 2, host: str | None = LOOPBACK) -> Path:
        """The file with key and certificate. age: since when it is valid; days: for how long."""
        made = _signed(name, self._own, age=age, days=days, host=host)
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        key = made.key.private_bytes(encoding, form, serialization.NoEncryption())
        path = self._folder / f"{name}.pem"
        path.write_bytes(key + _pem(made.certificate) + _pem(self._own.certificate))
        return path


def _signed(name: str, by: _Signed | None, *, age: datetime.timedelta, days: int, host: str | None) -> _Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime.datetime.now(datetime.UTC) - age
    draft = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + days * _DAY)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    )
    if host is not None:
        draft = draft.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), False)
    return _Signed(key, draft.sign(by.key if by else key, hashes.SHA256()))


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class Guarded:
    """Who comes without a login may do everything; alice, and a client with a certificate, what is granted."""

    def __init__(self, folder: Path) -> None:
        self._authority = Authority(folder, "tests")
        self.stranger = Authority(folder, "strangers").ca_file
        self._client_file = self._authority.sign("client", host=None)
        certificates = {
            "broker": self._authority.sign("broker"),
            "expired": self._authority.sign("expired", age=30 * _DAY, days=29),
            "elsewhere": self._authority.sign("elsewhere", host="192.0.2.1"),
        }
        self._ports = dict(zip(_LISTENERS, free_ports(len(_LISTENERS)), strict=True))
        self.kafka = LocalKafka(data_dir=folder / "data", extra=_extra(certificates, self._authority.ca_file))
        (node,) = self.kafka.nodes
        listeners = ",".join(f"{name}://{self.address(name)}" for name in _LISTENERS)
        more = {
            "listeners": listeners,
            "advertised.listeners": listeners,
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, (kind, _) in _LISTENERS.items()),
        }  # behind what the template says of the other listeners
        node.config = {**node.config, **{name: f"{node.config[name]},{text}" for name, text in more.items()}}

    @contextmanager
    def running(self) -> Iterator[Guarded]:
        """Raises deploy.kafka.errors.Unavailable."""
        try:
            self.kafka.start()
            self.kafka.wait_ready()
            warm(self.kafka.bootstrap_servers)
            self._add_scram_users()
            yield self
        finally:
            self.kafka.kill()

    @property
    def ca_file(self) -> str:
        return str(self._authority.ca_file)

    @property
    def client_file(self) -> str:
        """Key and certificate of a client that the broker knows."""
        return str(self._client_file)

    def address(self, listener: str) -> str:
        return f"{LOOPBACK}:{self._ports[listener]}"

    def source(self, listener: str = "SASL_PLAINTEXT", **security: Any) -> dict[str, Any]:
        """The settings of a trigger whose source is this listener."""
        protocol, certificate = _LISTENERS[listener]
        given: dict[str, Any] = {"protocol": protocol}
        if protocol.startswith("SASL"):
            given |= {"mechanism": "PLAIN", "username": USER, "password_env": VARIABLE}
        if certificate is not None:
            given["ca_file"] = self.ca_file
        return {"bootstrap_servers": self.address(listener), "security": given | security}

    def librdkafka(self, listener: str = "SECURED", **over: str) -> dict[str, str]:
        """The security of an installation whose brokers are at this listener; over: with _ for each dot."""
        protocol, _ = _LISTENERS[listener]
        given = {"security.protocol": protocol, "ssl.ca.location": self.ca_file}
        given |= {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": OPERATOR, "sasl.password": PASSWORD}
        return given | {name.replace("_", "."): value for name, value in over.items()}

    def grant(self, kind: str, name: str, operation: str, *, user: str = USER) -> None:
        literal, allow = _Admin.ResourcePatternType.LITERAL, _Admin.AclPermissionType.ALLOW
        resource, allowed = _Admin.ResourceType[kind], _Admin.AclOperation[operation]
        binding = _Admin.AclBinding(resource, name, literal, f"User:{user}", "*", allowed, allow)
        client = self._client()
        client.create_acls([binding])[binding].result(ANSWER_LIMIT_SEC)

    def _add_scram_users(self) -> None:
        client = self._client()
        for mechanism in (_Admin.ScramMechanism.SCRAM_SHA_256, _Admin.ScramMechanism.SCRAM_SHA_512):
            info = _Admin.ScramCredentialInfo(mechanism, 4_096)
            changes = [_Admin.UserScramCredentialUpsertion(name, info, PASSWORD.encode()) for name in (USER, OPERATOR)]
            for done in client.alter_user_scram_credentials(changes).values():
                done.result(ANSWER_LIMIT_SEC)

    def _client(self) -> Any:
        return _Admin.AdminClient({"bootstrap.servers": self.kafka.bootstrap_servers, "log_level": 0})


def _extra(certificates: Mapping[str, Path], ca_file: Path) -> dict[str, str]:
    found = {
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{OPERATOR}",
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.truststore.location": str(ca_file),
    }
    for name, (protocol, certificate) in _LISTENERS.items():
        own = f"listener.name.{name.lower()}"
        if protocol.startswith("SASL"):
            found[f"{own}.plain.sasl.jaas.config"] = _PLAIN_LOGIN
            found[f"{own}.scram-sha-256.sasl.jaas.config"] = found[f"{own}.scram-sha-512.sasl.jaas.config"] = (
                _SCRAM_LOGIN
            )
        if certificate is not None:
            found[f"{own}.ssl.keystore.type"] = "PEM"
            found[f"{own}.ssl.keystore.location"] = str(certificates[certificate])
    return found
