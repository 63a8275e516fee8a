from __future__ import annotations

from pathlib import Path

import pytest

from processor.cli.config import describe
from processor.cli.layers import Given, Loaded, SettingsInvalid, known_settings, load_settings, variable_of
from processor.cli.settings import shown


@pytest.fixture(autouse=True)
def _empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "headrace.toml") -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def mistakes_of(environ: dict[str, str], config: Path | None = None) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(config=config, environ=environ)
    return [str(each) for each in caught.value.mistakes]


def loaded(environ: dict[str, str] | None = None, config: Path | None = None, **flags: Given) -> Loaded:
    return load_settings(flags, config=config, environ=environ or {})


def test_without_anything_given_every_setting_has_its_default() -> None:
    found = loaded()
    assert (found.settings.transport, found.settings.data_dir) == ("embedded", Path(".headrace"))
    assert (found.settings.gateway.host, found.settings.gateway.port) == ("127.0.0.1", 8787)
    assert set(found.origins.values()) == {"default"}


def test_a_flag_wins_over_the_environment_which_wins_over_the_file() -> None:
    path = write('transport = "kafka"\n[gateway]\nport = 1\nhost = "::1"\n[executor]\nslots = 3\n')
    environ = {"HEADRACE_GATEWAY__PORT": "2", "HEADRACE_EXECUTOR__SLOTS": "5"}
    found = load_settings({"gateway.port": Given(value=3, origin="--port")}, config=path, environ=environ)
    assert found.settings.gateway.port == 3
    assert found.settings.executor.slots == 5
    assert found.settings.gateway.host == "::1"
    assert found.settings.transport == "kafka"
    assert found.origins["gateway.port"] == "--port"
    assert found.origins["executor.slots"] == "HEADRACE_EXECUTOR__SLOTS"
    assert found.origins["gateway.host"] == "headrace.toml:4"
    assert found.origins["transport"] == "headrace.toml:1"
    assert found.origins["log.level"] == "default"


def test_the_file_in_the_config_folder_is_read_without_being_named() -> None:
    write("[gateway]\nport = 9\n", "config/headrace.toml")
    assert loaded().settings.gateway.port == 9


def test_the_file_of_the_environment_is_read_and_the_flag_names_another() -> None:
    write("[gateway]\nport = 9\n", "one.toml")
    two = write("[gateway]\nport = 10\n", "two.toml")
    assert loaded({"HEADRACE_CONFIG": "one.toml"}).settings.gateway.port == 9
    assert loaded({"HEADRACE_CONFIG": "one.toml"}, two).settings.gateway.port == 10


def test_a_named_file_that_does_not_exist_is_a_mistake() -> None:
    assert mistakes_of({"HEADRACE_CONFIG": "no.toml"}) == [
        "HEADRACE_CONFIG: config 'no.toml' does not exist; name a TOML file, or leave it out"
    ]


def test_a_file_that_is_not_toml_names_the_line() -> None:
    (told,) = mistakes_of({}, write("[gateway]\nport = \n"))
    assert told.startswith("headrace.toml: the file is not TOML: Invalid value (at line 2")


def test_all_mistakes_come_at_once_with_origin_value_and_remedy() -> None:
    path = write("[executor]\n\nslots = 0\n")
    environ = {
        "HEADRACE_GATEWAY__PORT": "80a",
        "HEADRACE_TRANSPORT": "kakfa",
        "HEADRACE_KAFKA__SESSION_TIMEOUT_SEC": "nan",
        "HEADRACE_HISTORY__URL": "mysql://x",
        "HEADRACE_EXECUTOR__NAME": "a/b",
    }
    assert sorted(mistakes_of(environ, path)) == [
        "HEADRACE_EXECUTOR__NAME: executor.name 'a/b' has not the form it needs; "
        "use letters, digits, dot, - and _, at most 64",
        "HEADRACE_GATEWAY__PORT: gateway.port '80a' is not a whole number; give digits only",
        "HEADRACE_HISTORY__URL: history.url 'mysql://x' has not the form it needs; "
        "write sqlite:///PATH (a fourth slash begins an absolute path) or postgresql://USER@HOST/DATABASE",
        "HEADRACE_KAFKA__SESSION_TIMEOUT_SEC: kafka.session_timeout_sec 'nan' is not a number; "
        "give a number such as 0.5",
        "HEADRACE_TRANSPORT: transport 'kakfa' is not a choice; choose one of embedded, kafka",
        "headrace.toml:3: executor.slots '0' is out of range; give a number from 1 to 10,000",
    ]


def test_a_misspelt_variable_is_a_mistake_with_a_hint() -> None:
    assert mistakes_of({"HEADRACE_GATEWAY__PROT": "1"}) == [
        "HEADRACE_GATEWAY__PROT: the variable is not a setting; did you mean HEADRACE_GATEWAY__PORT?"
    ]


def test_a_variable_that_is_nothing_like_ours_is_only_a_warning() -> None:
    assert loaded({"HEADRACE_DEPLOYED_BY": "x"}).warnings == (
        "HEADRACE_DEPLOYED_BY is not a setting of Headrace and is ignored",
    )
    assert loaded({"HEADRACE_TEST_KAFKA": "x", "OTHER": "y"}).warnings == ()


def test_an_unknown_key_of_the_file_is_a_mistake_with_its_line_and_a_hint() -> None:
    assert mistakes_of({}, write("[gateway]\nhost = '::1'\nprot = 1\n[nonsense]\nx = 1\n")) == [
        "headrace.toml:3: gateway.prot is not a setting; did you mean gateway.port?",
        "headrace.toml:5: nonsense.x is not a setting; `headrace config show` lists every setting",
    ]


def test_security_is_given_in_librdkafkas_names_quoted_or_nested_or_as_variables() -> None:
    path = write('[kafka.security]\n"security.protocol" = "SASL_SSL"\nsasl.username = "me"\n')
    found = loaded({"HEADRACE_KAFKA__SECURITY__SASL_PASSWORD": "hush"}, path)
    assert found.settings.kafka.security == {
        "security.protocol": "SASL_SSL",
        "sasl.username": "me",
        "sasl.password": "hush",
    }
    assert found.origins["kafka.security.security.protocol"] == "headrace.toml:2"
    assert found.origins["kafka.security.sasl.username"] == "headrace.toml:3"


def test_every_value_is_shown_with_its_origin_and_secrets_are_masked() -> None:
    found = loaded({"HEADRACE_KAFKA__SECURITY__SASL_PASSWORD": "hush", "HEADRACE_GATEWAY__PORT": "5"})
    rows = {row["name"]: row for row in describe(found)}
    assert (rows["gateway.port"]["value"], rows["gateway.port"]["origin"]) == ("5", "HEADRACE_GATEWAY__PORT")
    assert rows["kafka.security.sasl.password"]["value"] == "********"
    assert all("hush" not in str(row) for row in rows.values())
    assert {".".join(name) for name in known_settings()} - set(rows) == {"kafka.security"}


def test_a_password_inside_an_address_is_masked() -> None:
    assert shown("history.url", "postgresql://me:hush@db/x") == "postgresql://me:********@db/x"
    assert shown("history.url", "postgresql://db/x?password=hush&a=b") == "postgresql://db/x?password=********&a=b"
    assert shown("gateway.url", "http://127.0.0.1:8787") == "http://127.0.0.1:8787"


def test_a_secret_is_not_told_in_a_mistake_either() -> None:
    (told,) = mistakes_of({"HEADRACE_HISTORY__URL": "mysql://me:hush@db/x"})
    assert "hush" not in told


def test_an_optional_number_can_be_left_empty() -> None:
    assert loaded({"HEADRACE_KAFKA__REPLICATION_FACTOR": ""}).settings.kafka.replication_factor is None
    assert loaded({"HEADRACE_KAFKA__REPLICATION_FACTOR": "3"}).settings.kafka.replication_factor == 3


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://127.0.0.1:8787"),
        ({"HEADRACE_GATEWAY__HOST": "0.0.0.0"}, "http://127.0.0.1:8787"),
        ({"HEADRACE_GATEWAY__HOST": "::", "HEADRACE_GATEWAY__PORT": "1"}, "http://[::1]:1"),
        ({"HEADRACE_GATEWAY__URL": "https://h/base/"}, "https://h/base"),
    ],
)
def test_the_command_line_finds_the_gateway_where_it_listens(environ: dict[str, str], url: str) -> None:
    assert loaded(environ).settings.gateway.client_url == url


def test_the_history_is_in_the_data_folder_unless_a_url_says_otherwise() -> None:
    assert loaded({"HEADRACE_DATA_DIR": "d"}).settings.history_path == Path("d/history.db")
    assert loaded({"HEADRACE_DATA_DIR": "d", "HEADRACE_TRANSPORT": "kafka"}).settings.history_path == Path(
        "d/kafka/history.db"
    )
    assert loaded({"HEADRACE_HISTORY__URL": "sqlite:////x/h.db"}).settings.history_path == Path("/x/h.db")


def test_two_installations_with_one_data_folder_keep_their_state_apart() -> None:
    environments = [{"HEADRACE_TRANSPORT": "kafka", "HEADRACE_KAFKA__TOPIC_PREFIX": each} for each in ("", "a.", "b.")]
    assert len({loaded(each).settings.state_dir for each in [{}, *environments]}) == 4


def test_the_example_file_is_valid_and_names_every_setting() -> None:
    example = Path(__file__).parents[2] / "config" / "headrace.toml"
    assert set(loaded(config=example).origins.values()) == {"default"}
    text = example.read_text()
    assert [name for name in known_settings() if name[-1] not in text] == []


def test_the_example_file_with_everything_uncommented_is_valid_too() -> None:
    example = Path(__file__).parents[2] / "config" / "headrace.toml"
    lines = [line.removeprefix("# ") if " = " in line else line for line in example.read_text().splitlines()]
    found = loaded(config=write("\n".join(lines)))
    assert found.settings.kafka.replication_factor == 3
    assert found.settings.kafka.security["sasl.mechanism"] == "SCRAM-SHA-512"


def test_a_variable_is_named_by_its_levels() -> None:
    assert variable_of(("kafka", "topic_prefix")) == "HEADRACE_KAFKA__TOPIC_PREFIX"
