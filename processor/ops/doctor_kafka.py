"""What the doctor looks at on Kafka: brokers, topics, and the settings without which a guarantee does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, but the package has no __all__
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    ResourceType,
)

from processor.cli.settings import Settings
from processor.core.topics import MAX_MESSAGE_BYTES, TOPICS, Topic
from processor.ops.doctor import Finding, ok, refused, warning
from processor.transport.abstract import TransportError
from processor.transport.kafka.admin import topic_config
from processor.transport.kafka.groups import LONGEST_SESSION_MS, choose
from processor.transport.kafka.security import checked

ASK_SEC = 10.0
#: Offsets of a queue that is idle for this long must not be forgotten (DESIGN 5.3d).
MIN_OFFSETS_RETENTION_MINUTES = 90 * 24 * 60
MIN_OFFSET_METADATA_BYTES = 4_096
SAFE_COPIES = 3
_SAFE_ACKS = 2
_OFFSETS = "__consumer_offsets"
#: What a topic of ours must not differ in.
_CHECKED = ("cleanup.policy", "message.timestamp.type", "max.message.bytes", "unclean.leader.election.enable")
_KEPT = ("retention.ms", "retention.bytes")


def examine_kafka(settings: Settings) -> Iterator[Finding]:
    kafka = settings.kafka
    try:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0, **checked(kafka.security)})
        cluster = admin.list_topics(timeout=ASK_SEC)
        broker = _broker_config(admin, cluster)
    except (KafkaException, TransportError) as error:
        remedy = "Start the broker (`make kafka` on this machine), or correct HEADRACE_KAFKA__*."
        yield refused("transport", f"Kafka at {kafka.bootstrap_servers} does not answer: {_told(error)}", remedy)
        return
    yield ok("transport", f"Kafka at {kafka.bootstrap_servers}, {len(cluster.brokers)} brokers")
    yield from broker_findings(broker, copies=_copies(cluster, _OFFSETS))
    yield from _group_findings(settings, broker)
    yield from _topic_findings(settings, admin, cluster)


def broker_findings(broker: Mapping[str, str], *, copies: int | None) -> Iterator[Finding]:
    """copies: how often claims are kept; None when the topic of offsets does not exist yet."""
    retention = int(broker.get("offsets.retention.minutes", 0))
    if retention < MIN_OFFSETS_RETENTION_MINUTES:
        yield refused(
            "broker offsets.retention.minutes",
            f"{retention}: what an idle queue has claimed is forgotten after {retention / 1440:.0f} days",
            f"Set it to 525600, at least {MIN_OFFSETS_RETENTION_MINUTES}, on every broker.",
        )
    metadata = int(broker.get("offset.metadata.max.bytes", 0))
    if metadata < MIN_OFFSET_METADATA_BYTES:
        remedy = f"Set it to {MIN_OFFSET_METADATA_BYTES} or more on every broker."
        yield refused("broker offset.metadata.max.bytes", f"{metadata}: commits of claims are refused", remedy)
    if broker.get("auto.create.topics.enable") == "true":
        remedy = "Set it to false: a misspelt topic appears with settings that lose data."
        yield warning("broker auto.create.topics.enable", "topics are made by mistake", remedy)
    found = int(broker.get("offsets.topic.replication.factor", 1)) if copies is None else copies
    if found < SAFE_COPIES:
        remedy = "In production, use three brokers and offsets.topic.replication.factor=3 before the first start."
        yield warning("broker claims", f"claims are kept {_times(found)}: they are lost with that disk", remedy)
    elif int(broker.get("min.insync.replicas", 1)) < _SAFE_ACKS:
        remedy = "Set min.insync.replicas=2 on every broker."
        yield warning("broker min.insync.replicas", "an acknowledged claim may be on one disk only", remedy)


def _group_findings(settings: Settings, broker: Mapping[str, str]) -> Iterator[Finding]:
    """How soon a dead member is noticed."""
    session_ms = int(settings.kafka.session_timeout_sec * 1000)
    try:
        protocol = choose(settings.kafka.group_protocol, session_ms, broker).settings["group.protocol"]
    except TransportError as error:
        yield refused("groups", str(error), "Set HEADRACE_KAFKA__GROUP_PROTOCOL=auto.")
        return
    low = "group.consumer.min.session.timeout.ms" if protocol == "consumer" else "group.min.session.timeout.ms"
    noticed_ms = max(session_ms, int(broker.get(low, session_ms)))
    told = f"{protocol} protocol; a dead executor is noticed after {noticed_ms / 1000:g} s"
    if noticed_ms > LONGEST_SESSION_MS:
        yield refused("groups", told, f"Set {low}=6000 on every broker.")
    elif protocol == "classic" and settings.kafka.group_protocol == "auto":
        remedy = "Use brokers of 4.3 or newer with group.consumer.min.session.timeout.ms=6000 (see deploy/kafka)."
        yield warning("groups", f"{told}; the newer protocol refuses fewer claims", remedy)
    else:
        yield ok("groups", told)


def _topic_findings(settings: Settings, admin: AdminClient, cluster: ClusterMetadata) -> Iterator[Finding]:
    prefix = settings.kafka.topic_prefix
    missing = [each.name for each in TOPICS if prefix + each.name not in cluster.topics]
    if missing:
        yield refused("topics", f"missing: {', '.join(missing)}", "Create them: `headrace topics init`.")
    present = [each for each in TOPICS if each.name not in missing]
    configs = _topic_configs(admin, [prefix + each.name for each in present])
    faults = [
        finding
        for topic in present
        for finding in topic_faults(
            topic, configs[prefix + topic.name], len(cluster.topics[prefix + topic.name].partitions)
        )
    ]
    yield from faults
    if present and not faults and not missing:
        yield ok("topics", f"{len(present)} topics as they should be")
    alone = [each.name for each in present if (_copies(cluster, prefix + each.name) or 0) < SAFE_COPIES]
    if alone:
        remedy = "In production, three brokers and HEADRACE_KAFKA__REPLICATION_FACTOR=3 before `headrace topics init`."
        yield warning("topics copies", f"{len(alone)} topics have fewer than {SAFE_COPIES} copies", remedy)


def topic_faults(topic: Topic, config: Mapping[str, str], partitions: int) -> Iterator[Finding]:
    """config: as the broker tells it. In more partitions than the table says there is no fault."""
    wanted = topic_config(topic, None)
    for name in (*_CHECKED, *(each for each in _KEPT if each in wanted)):
        found = config.get(name)
        if found == wanted.get(name) or (name == "max.message.bytes" and int(found or 0) >= MAX_MESSAGE_BYTES):
            continue
        if name == "cleanup.policy" and set((found or "").split(",")) == set(wanted[name].split(",")):
            continue
        if name == "retention.ms" and wanted[name] != "-1" and (found == "-1" or int(found or 0) > int(wanted[name])):
            continue  # kept longer than it has to be
        remedy = f"Set {name}={wanted[name]} on the topic (kafka-configs --alter --entity-type topics)."
        yield refused(f"topic {topic.name}", f"{name} is {found}", remedy)
    if topic.partitions == 1 and partitions != 1:
        remedy = "Delete the topic while nothing runs, and create it again: `headrace topics init`."
        yield refused(f"topic {topic.name}", f"it has {partitions} partitions, and its order needs one", remedy)


def _broker_config(admin: AdminClient, cluster: ClusterMetadata) -> dict[str, str]:
    resource = ConfigResource(ResourceType.BROKER, str(min(cluster.brokers)))
    entries = admin.describe_configs([resource], request_timeout=ASK_SEC)[resource].result(ASK_SEC)
    return {name: each.value for name, each in entries.items() if each.value is not None}


def _topic_configs(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    asked = admin.describe_configs(resources, request_timeout=ASK_SEC)
    return {
        resource.name: {name: each.value for name, each in future.result(ASK_SEC).items() if each.value is not None}
        for resource, future in asked.items()
    }


def _copies(cluster: ClusterMetadata, topic: str) -> int | None:
    found = cluster.topics.get(topic)
    return None if found is None else min((len(each.replicas) for each in found.partitions.values()), default=0)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _told(error: Exception) -> str:
    return str(error.args[0].str()) if isinstance(error, KafkaException) else str(error)
