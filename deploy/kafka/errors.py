"""What can go wrong around a local Kafka, each with its remedy.

Not HeadraceErrors: the launcher must run before Headrace is installed.
"""

from __future__ import annotations


class BrokerError(Exception):
    """The local Kafka could not do what was asked."""

    remedy = ""

    def __init__(self, detail: str = "") -> None:
        message = (self.__doc__ or "").strip().splitlines()[0]
        super().__init__("\n".join(part for part in (message, detail.strip(), self.remedy) if part))


class Unavailable(BrokerError):
    """A local Kafka cannot be had on this machine."""


class JavaMissing(Unavailable):
    """A local Kafka needs Java 17 or newer."""

    remedy = "Install a JRE (Debian and Ubuntu: openjdk-17-jre-headless) and put it on PATH, or set JAVA_HOME to it."


class MavenMissing(Unavailable):
    """The Kafka libraries are not here yet, and there is no `mvn` to fetch them."""

    remedy = "Install Maven (Debian and Ubuntu: maven); it is needed once per Kafka version."


class DownloadFailed(Unavailable):
    """Maven could not fetch the Kafka libraries."""

    remedy = "Check the network, or name your mirror in ~/.m2/settings.xml, and start again."


class LockTimedOut(BrokerError):
    """Another process has been fetching the Kafka libraries for too long."""

    remedy = "Wait for it or end it, and start again."


class PortInUse(BrokerError):
    """A port the local Kafka should listen on is taken."""

    remedy = "Stop what listens there (another local Kafka?), or choose another with --port."


class WrongData(BrokerError):
    """The data folder belongs to a local Kafka with another number of nodes."""

    remedy = "Name another folder with --data, or remove this one if its data may go."


class NodeFailed(BrokerError):
    """A Kafka node ended or did not get ready; the end of its log follows."""
