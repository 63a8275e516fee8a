"""The named states of a source that cannot be read, each with what a person can do about it."""

from __future__ import annotations

from processor.core.errors import HeadraceError

_BY_ITSELF = "It goes on by itself"


class KafkaClientMissing(HeadraceError):
    """The Kafka client is not installed, so no topic can be read."""

    remedy = "Install it: pip install 'headrace[kafka]'; then start the triggers role again."


class NoBrokerNamed(HeadraceError):
    """This installation has no Kafka of its own, and the trigger names no broker."""

    remedy = "Write bootstrap_servers: host:port into the trigger, and deploy."


class SecurityFilesUnusable(HeadraceError):
    """The TLS files of the trigger cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the TLS files of the trigger cannot be used: {reason}",
            remedy="Correct ca_file, certificate_file or key_file; the triggers role reads them again within a minute.",
        )


class SourceTrouble(HeadraceError):
    """The topic cannot be read at present."""

    remedy = f"{_BY_ITSELF}; look at the broker if it stays so."


class BrokerUnreachable(SourceTrouble):
    """No broker answers."""

    def __init__(self, servers: str, reason: str) -> None:
        super().__init__(
            f"no broker answers at {servers}: {reason}",
            remedy=f"Start the broker, or correct bootstrap_servers and security. {_BY_ITSELF} once one answers.",
        )
        self.servers = servers


class LoginRefused(SourceTrouble):
    """The broker refuses the login."""

    def __init__(self, servers: str, reason: str) -> None:
        super().__init__(
            f"the broker at {servers} refuses the login: {reason}",
            remedy=f"Correct security (mechanism, username, password_env), or the account. {_BY_ITSELF} after that.",
        )


class CertificateRefused(SourceTrouble):
    """The certificate of the broker is not trusted."""

    def __init__(self, servers: str, reason: str, remedy: str) -> None:
        super().__init__(
            f"the certificate of the broker at {servers} is not trusted: {reason}",
            remedy=f"{remedy} {_BY_ITSELF} after that.",
        )


class TopicMissing(SourceTrouble):
    """The topic does not exist."""

    def __init__(self, topic: str, servers: str) -> None:
        super().__init__(
            f"the topic {topic!r} does not exist on {servers}",
            remedy=f"Create it, or correct topic. {_BY_ITSELF} once it is there.",
        )
        self.topic = topic


class BrokerForbids(SourceTrouble):
    """The login may not read the topic, or not use the consumer group."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the broker does not allow it: {what}",
            remedy="Grant READ and DESCRIBE on the topic, and READ on the consumer group, to the login of the trigger. "
            f"{_BY_ITSELF} once they are granted.",
        )
