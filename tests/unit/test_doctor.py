from __future__ import annotations

import json
from pathlib import Path

import pytest

from processor.cli.app import run
from processor.cli.errors import Exit
from processor.cli.settings import ExecutorRoleSettings, GatewaySettings, KafkaSettings, Settings
from processor.core.topics import CONTROL, INTAKE, RUNS, TOPICS, Topic
from processor.executor import containment
from processor.ops.doctor import Finding, Level, examine
from processor.ops.doctor_kafka import broker_findings, topic_faults
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka.admin import topic_config

GOOD_BROKER = {
    "offsets.retention.minutes": "525600",
    "offset.metadata.max.bytes": "4096",
    "auto.create.topics.enable": "false",
    "min.insync.replicas": "2",
}
NOWHERE = GatewaySettings(url="http://127.0.0.1:1")


def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder / "data", gateway=NOWHERE)


def levels(findings: list[Finding]) -> dict[str, Level]:
    return {each.subject: each.level for each in findings}


def test_a_fresh_folder_has_nothing_refused_and_every_other_finding_has_a_remedy(tmp_path: Path) -> None:
    findings = list(examine(settings(tmp_path)))
    assert Level.REFUSED not in levels(findings).values()
    assert levels(findings)["gateway"] is Level.WARNING
    assert [each for each in findings if each.level is not Level.OK and not each.remedy] == []


def test_the_log_in_use_is_told_with_its_process_and_not_disturbed(tmp_path: Path) -> None:
    where = settings(tmp_path)
    with EmbeddedTransport(where.data_dir / "log"):
        (found,) = [each for each in examine(where) if each.subject == "transport"]
    assert "in use by process" in found.message
    (found,) = [each for each in examine(where) if each.subject == "transport"]
    assert found.message == "embedded; not in use"


def test_how_processes_of_an_instance_are_found_is_told(tmp_path: Path) -> None:
    swept = Settings(data_dir=tmp_path, gateway=NOWHERE, executor=ExecutorRoleSettings(containment="sweep"))
    (found,) = [each for each in examine(swept) if each.subject == "containment"]
    assert (found.level, "by a sweep" in found.message) == (Level.OK, True)


def test_control_groups_that_are_demanded_and_cannot_be_made_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containment, "create", lambda pool, max_processes: None)
    demanded = Settings(data_dir=tmp_path, gateway=NOWHERE, executor=ExecutorRoleSettings(containment="cgroup"))
    (found,) = [each for each in examine(demanded) if each.subject == "containment"]
    assert (found.level, "Delegate=yes" in found.remedy) == (Level.REFUSED, True)


def test_a_damaged_history_is_refused(tmp_path: Path) -> None:
    where = settings(tmp_path)
    where.history_path.parent.mkdir()
    where.history_path.write_bytes(b"no database" * 1_000)
    (found,) = [each for each in examine(where) if each.subject == "history"]
    assert found.level is Level.REFUSED


@pytest.mark.parametrize(("free", "level"), [(10 * 1024**3, Level.OK), (1024**3, Level.WARNING), (1024, Level.REFUSED)])
def test_a_full_disk_is_refused_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free}))
    assert levels(list(examine(settings(tmp_path))))["disk"] is level


def test_a_broker_that_does_not_answer_is_refused_with_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processor.ops.doctor_kafka.ASK_SEC", 0.5)
    where = Settings(
        transport="kafka",
        data_dir=tmp_path,
        gateway=NOWHERE,
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
    )
    (found,) = [each for each in examine(where) if each.subject == "transport"]
    assert found.level is Level.REFUSED
    assert "127.0.0.1:1" in found.message


def test_a_good_broker_gives_no_finding() -> None:
    assert list(broker_findings(GOOD_BROKER, copies=3)) == []


@pytest.mark.parametrize(
    ("changed", "copies", "subject", "level"),
    [
        ({"offsets.retention.minutes": "10080"}, 3, "broker offsets.retention.minutes", Level.REFUSED),
        ({"offset.metadata.max.bytes": "1024"}, 3, "broker offset.metadata.max.bytes", Level.REFUSED),
        ({"auto.create.topics.enable": "true"}, 3, "broker auto.create.topics.enable", Level.WARNING),
        ({"min.insync.replicas": "1"}, 3, "broker min.insync.replicas", Level.WARNING),
        ({}, 1, "broker claims", Level.WARNING),
        ({"offsets.topic.replication.factor": "1"}, None, "broker claims", Level.WARNING),
    ],
)
def test_each_broker_setting_that_breaks_a_promise_is_found(
    changed: dict[str, str], copies: int | None, subject: str, level: Level
) -> None:
    (found,) = broker_findings(GOOD_BROKER | changed, copies=copies)
    assert (found.subject, found.level) == (subject, level)
    assert found.remedy


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_made_by_the_table_has_no_fault(topic: Topic) -> None:
    assert list(topic_faults(topic, topic_config(topic, None), topic.partitions)) == []


@pytest.mark.parametrize(
    ("topic", "changed"),
    [
        (INTAKE, {"retention.ms": "604800000"}),
        (INTAKE, {"retention.bytes": "1000"}),
        (RUNS, {"message.timestamp.type": "CreateTime"}),
        (RUNS, {"max.message.bytes": "1048588"}),
        (RUNS, {"retention.ms": "3600000"}),
        (CONTROL, {"cleanup.policy": "compact"}),
    ],
)
def test_a_topic_whose_setting_loses_data_is_refused(topic: Topic, changed: dict[str, str]) -> None:
    (found,) = topic_faults(topic, topic_config(topic, None) | changed, topic.partitions)
    assert found.level is Level.REFUSED
    assert next(iter(changed)) in found.message


def test_a_topic_that_keeps_more_than_it_must_has_no_fault() -> None:
    more = {"retention.ms": "-1", "max.message.bytes": "9999999"}
    assert list(topic_faults(RUNS, topic_config(RUNS, None) | more, 12)) == []


def test_a_topic_whose_order_needs_one_partition_may_not_have_more() -> None:
    (found,) = topic_faults(CONTROL, topic_config(CONTROL, None), 2)
    assert "2 partitions" in found.message


def test_the_command_prints_every_finding_and_a_refusal_is_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    gateway = ("--gateway", NOWHERE.url)
    assert run(["doctor", "-o", "json", *gateway]) == Exit.OK
    report = json.loads(capsys.readouterr().out)
    assert report["ok"]
    assert {"settings", "python", "disk", "transport"} <= {each["subject"] for each in report["findings"]}
    Path("functions.yaml").write_text("version: 2\n")
    assert run(["doctor", *gateway]) == Exit.FAILED
    assert "refused  manifest: functions.yaml:1:" in capsys.readouterr().out
