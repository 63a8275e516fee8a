from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processor.registry.manifest import ManifestInvalid, load_manifest
from processor.registry.spec import FunctionSpec

ROOT = Path(__file__).parents[2]

EVERYTHING = """\
version: 1
functions:
  thumbnail:
    handler: app.images:thumbnail
    code: src
    async_execution: false
    timeout: 1h30m
    memory: 512Mi
    concurrency: 8
    rate: 100/m
    max_queue_age: 6h
    claim_ahead: 0
    env: {SIZE: "256", NO: "1"}
    role: resizer
    enabled: false
    events:
      - folder: {path: inbox, pattern: "*.png", event_format: data}
      - http: {path: /thumb, method: PUT}
      - kafka: {topic: orders, bootstrap_servers: "a:9092,b:9092", group: thumbs, start: earliest}
      - schedule: {cron: "0 2 * * *", timezone: Europe/Paris, missed: all, argument: {deep: [1, null]}}
      - storage: {bucket: uploads, events: ["ObjectCreated:*"], prefix: in/, suffix: .png, source: {kafka: {topic: s3}}}
  plain: {handler: index.main_handler}
"""

TEN_MISTAKES = """\
version: 1
functions:
  thumbnail:
    handler: thumbnail
    timeout: 25h
    memory: 512
    concurrency: 0
    rate: 20
    env: {DEBUG: on}
    retry: 3
    enabled: "yes"
    events:
      - schedule: {cron: "* *"}
    timeout: 1h
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    return tmp_path


def load(folder: Path, text: str) -> dict[str, FunctionSpec]:
    path = folder / "functions.yaml"
    path.write_text(text, encoding="utf-8")
    return dict(load_manifest(path).functions)


def lines_of(folder: Path, text: str | bytes) -> list[str]:
    path = folder / "functions.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    with pytest.raises(ManifestInvalid) as caught:
        load_manifest(path)
    assert len(caught.value.problems) == len(str(caught.value).splitlines())
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


def only_line_of(folder: Path, text: str | bytes) -> str:
    (line,) = lines_of(folder, text)
    return line


def entry(*lines: str) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"version: 1\nfunctions:\n  hello:\n    handler: app:f\n{body}"


def test_every_field_is_understood(folder: Path) -> None:
    functions = load(folder, EVERYTHING)
    assert functions["thumbnail"] == FunctionSpec(
        name="thumbnail",
        handler="app.images:thumbnail",
        code=folder / "src",
        not_code=(folder / "functions.yaml",),
        async_execution=False,
        timeout_sec=5400.0,
        memory_bytes=512 * 1024**2,
        concurrency=8,
        rate_per_sec=100 / 60,
        max_queue_age_sec=21_600.0,
        claim_ahead_sec=0.0,
        env={"SIZE": "256", "NO": "1"},
        role="resizer",
        enabled=False,
        events=(
            {"folder": {"event_format": "data", "path": str(folder / "inbox"), "pattern": "*.png"}},
            {"http": {"event_format": "cloudevents", "path": "/thumb", "method": ["PUT"]}},
            {
                "kafka": {
                    "event_format": "cloudevents",
                    "topic": "orders",
                    "bootstrap_servers": "a:9092,b:9092",
                    "group": "thumbs",
                    "start": "earliest",
                    "value": "auto",
                    "max_records": 1,
                    "max_wait": 1.0,
                }
            },
            {
                "schedule": {
                    "event_format": "cloudevents",
                    "cron": "0 2 * * *",
                    "timezone": "Europe/Paris",
                    "missed": "all",
                    "max_catchup": 100,
                    "grace": 60.0,
                    "jitter": 0.0,
                    "argument": {"deep": [1, None]},
                }
            },
            {
                "storage": {
                    "event_format": "cloudevents",
                    "bucket": "uploads",
                    "events": ["ObjectCreated:*"],
                    "prefix": "in/",
                    "suffix": ".png",
                    "source": {"kafka": {"topic": "s3", "start": "latest"}},
                }
            },
        ),
    )


def test_what_is_left_out_has_its_default(folder: Path) -> None:
    assert load(folder, EVERYTHING)["plain"] == FunctionSpec(
        name="plain", handler="index:main_handler", code=folder, not_code=(folder / "functions.yaml",)
    )


def test_neither_the_manifest_nor_a_watched_folder_is_part_of_the_code(folder: Path) -> None:
    manifest = entry("events: [{folder: {path: in/x}}, {folder: {path: .}}, {folder: {path: ../elsewhere}}]")
    assert load(folder, manifest)["hello"].not_code == (folder / "functions.yaml", folder / "in" / "x")


def test_ten_mistakes_are_ten_lines_in_the_order_of_the_file(folder: Path) -> None:
    assert lines_of(folder, TEN_MISTAKES) == [
        "functions.yaml:4: functions.thumbnail.handler: 'thumbnail' names no callable; "
        "write module:callable, such as app.images:thumbnail",
        "functions.yaml:5: functions.thumbnail.timeout: '25h' is longer than 24h; use 1s..24h",
        "functions.yaml:6: functions.thumbnail.memory: '512' is not a memory size; "
        "write a number and a unit, such as 512Mi or 1Gi",
        "functions.yaml:7: functions.thumbnail.concurrency: '0' is out of range; use at least 1",
        "functions.yaml:8: functions.thumbnail.rate: '20' is not a rate; "
        "write a number per unit of time, such as 20/s, 100/m or 5/h",
        "functions.yaml:9: functions.thumbnail.env.DEBUG: 'on' must be text; this is true or false; put it in quotes",
        "functions.yaml:10: functions.thumbnail.retry: '3' is not known here; leave it out: a started run is never "
        "repeated",
        "functions.yaml:11: functions.thumbnail.enabled: 'yes' must be true or false; this is text; "
        "write true or false without quotes",
        "functions.yaml:13: functions.thumbnail.events[0].schedule.cron: '* *' has 2 fields; write 5 (minute hour day "
        'month weekday), 6 (seconds first) or 7 (year last), such as "0 2 * * *"',
        "functions.yaml:14: functions.thumbnail.timeout: appears twice (first on line 5); keep one of them",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("timeout: 0.5", "'0.5' is shorter than 1s"),
        ("timeout: soon", "'soon' is not a duration"),
        ("timeout: .nan", "'.nan' is not a duration"),
        ("timeout: true", "'true' is not a duration"),
        ("timeout:", "timeout: is not a duration"),
        ("memory: 1Mi", "'1Mi' is out of range; use 16Mi..1Ti"),
        ("rate: 0/s", "'0/s' lets nothing through"),
        ("concurrency: 2.5", "'2.5' must be a whole number"),
        ("concurrency: true", "'true' must be a whole number"),
        ("role: 007", "'007' must be text; this is a number; put it in quotes"),
        ("role: ''", "is empty"),
        ("env: {A-B: x}", "'A-B'"),
        ("env: [A]", "must be a mapping; this is a list"),
        ("code: s3://bucket/key", "'s3://bucket/key' is an address"),
        ("code: nowhere", "'nowhere' does not exist; it is looked for at"),
        ("code: functions.yaml", "is neither a directory nor a zip file"),
        ("concurency: 3", "did you mean concurrency?"),
        ("environment: {A: b}", "it is called env here"),
        ("events: {http: {path: /x}}", "must be a list"),
        ("events: [{}]", "exactly one kind of trigger"),
        ("events: [{http: {path: /x}, folder: {path: x}}]", "exactly one kind of trigger"),
        ("events: [{http: }]", "exactly one kind of trigger"),
        ("events: [{webhook: {path: /x}}]", "known are cloudevents, folder, http, kafka, schedule, storage"),
        ("events: [http]", "must be a mapping"),
        ("events: [{http: {path: x}}]", "'x' is not a path"),
        ("events: [{http: {path: /x, event_format: raw}}]", "use 'cloudevents', 'data', 'scf' or 'aws'"),
        ("events: [{http: {path: '/x/{a}b'}}]", "a brace inside a part"),
        ("events: [{http: {path: '/{a}/{a}'}}]", "names a parameter twice"),
        ("events: [{http: {path: /x, method: FETCH}}]", "is no HTTP method"),
        ("events: [{http: {path: /x, method: []}}]", "is no HTTP method"),
        ("events: [{schedule: {cron: '@daily', timezone: Mars/Base}}]", "'Mars/Base' is not a time zone"),
        ("events: [{schedule: {cron: '@daily', argument: 99999999999999999999}}]", "is no JSON value"),
        ("events: [{kafka: {}}]", "events[0].kafka.topic: is missing; add topic"),
        ("events: [{storage: {bucket: b, source: {kafka: {topic: a}, sqs: {queue_url: u}}}}]", "exactly one source"),
        ("events: [{storage: {bucket: b, events: [], source: {webhook: {path: /x}}}}]", "is empty"),
    ],
)
def test_each_mistake_is_told_with_its_line_and_a_remedy(folder: Path, line: str, said: str) -> None:
    found = only_line_of(folder, entry(line))
    assert found.startswith("functions.yaml:5: functions.hello.")
    assert said in found


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", ":1: ", "has no value"),
        ("[]", ":1: ", "must be a mapping; this is a list"),
        ("version: 1", ":1: functions: ", "is missing"),
        ("functions: {}", ":1: version: ", "add version: 1"),
        ("version: 2\nfunctions: {}", ":1: version: ", "use 1"),
        ("version: 1\nfunctions:", ":2: functions: ", "has no value"),
        ("version: 1\nfunctions:\n  a:", ":3: functions.a: ", "has no value"),
        ("version: 1\nfunctions:\n  a: {}", ":3: functions.a.handler: ", "is missing; add one such as"),
        ("version: 1\nfunctions:\n  9a: {handler: m.f}", ":3: functions.9a: ", "is not a function name"),
        ("version: 1\nfunctions:\n  a.b: {handler: m.f}", ":3: functions.a.b: ", "is not a function name"),
    ],
)
def test_the_frame_of_the_manifest_is_checked_too(folder: Path, text: str, place: str, said: str) -> None:
    found = only_line_of(folder, text)
    assert found.startswith(f"functions.yaml{place}")
    assert said in found


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (entry("events:", "- schedule: {cron: * * * * *}"), 6, 'cron: "*/5 * * * *"'),
        (entry("events:", "- schedule:", "    cron: */5 * * * *"), 7, "begins with * is an alias"),
        (entry("events:", "- folder: {path: x, pattern: *.png}"), 6, "put it in quotes"),
        ("a: *later\nb: &later x", 1, "begins with * is an alias"),
        ("a: 1\nb:\n\tc: 1", 3, "indent with spaces"),
        ("a: 1\nb: c: d", 2, "check the indentation"),
        ("a: 1\nb: [", 2, "not YAML"),
        ("a: @x", 1, "put the value in quotes"),
        ("a: 1\n---\nb: 1", 2, "one document"),
        ("a: 1\nb: \x07", 2, "not allowed in YAML"),
        (b"a: 1\nb: \xff", 2, "not UTF-8"),
        ("[" * 3_000, 1, "nested too deep"),
        ("- " * 3_000, 1, "nested too deep"),
        ("&a [*a]", 1, "nested too deep"),
        ("x: &a [1,2,3,4,5,6,7,8,9]\ny: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nz: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "u: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\nv: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nw: [*e,*e,*e,*e,*e]", 1, "aliases"),
        ("x" * 1_000_001, 1, "more than 1 MB"),
    ],
)  # fmt: skip
def test_what_is_not_yaml_is_told_with_its_line(folder: Path, text: str | bytes, line: int, said: str) -> None:
    found = only_line_of(folder, text)
    assert found.startswith(f"functions.yaml:{line}: ")
    assert said in found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("env: !!python/object/apply:os.system [id]", "has the tag '!!python/object/apply:os.system'"),
        ("env: {<<: {A: b}}", "merge key"),
        ("role: !!int x", "does not fit its tag"),
        ("role: !!bool maybe", "does not fit its tag"),
        ("role: !!binary aGk=", "has the tag '!!binary'"),
        ("env: !!set {A}", "has the tag '!!set'"),
        ("env: {[a]: b}", "a key that is not text"),
        ('role: "\\ud800"', "half a character"),
        ('env: {"A\\udfff": b}', "half a character"),
    ],
)
def test_yaml_that_is_more_than_plain_values_is_refused(folder: Path, line: str, said: str) -> None:
    assert any(said in each and ":5: functions.hello." in each for each in lines_of(folder, entry(line)))


def test_values_may_be_shared_by_an_alias(folder: Path) -> None:
    functions = load(
        folder,
        "version: 1\nfunctions:\n  a: {handler: m.f, env: &env {A: x}}\n  b: {handler: m.g, env: *env}\n",
    )
    assert functions["b"].env == {"A": "x"}


def test_dates_are_text(folder: Path) -> None:
    assert load(folder, entry("env: {DAY: 2026-11-24}"))["hello"].env == {"DAY": "2026-11-24"}


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("app:f", "app:f"),
        ("app.images:Thumbs.make", "app.images:Thumbs.make"),
        ("index.main_handler", "index:main_handler"),
        ("src/app.handler", "src.app:handler"),
    ],
)
def test_handlers_of_scf_and_lambda_are_understood(folder: Path, written: str, normal: str) -> None:
    text = f"version: 1\nfunctions:\n  a: {{handler: '{written}'}}\n"
    assert load(folder, text)["a"].handler == normal


@pytest.mark.parametrize("written", ["f", ":f", "app:", "app:f()", "app:f:g", "a b.f", "app..f", "/app.f", "../app.f"])
def test_what_names_no_callable_is_refused(folder: Path, written: str) -> None:
    text = f"version: 1\nfunctions:\n  a: {{handler: '{written}'}}\n"
    assert "names no callable" in only_line_of(folder, text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="No such file"):
        load_manifest(tmp_path / "functions.yaml")
    with pytest.raises(ManifestInvalid, match="Is a directory"):
        load_manifest(tmp_path)


def test_the_environment_has_a_limit(folder: Path) -> None:
    assert "more than 32,768 bytes" in only_line_of(folder, entry(f"env: {{A: {'x' * 33_000}}}"))
    assert load(folder, entry(f"env: {{A: {'x' * 32_000}}}"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["a", ": ", "- ", "\n", "  ", "[", "]", "{", "}", "*", "&", "!", "'", '"', "|", "1", ","]))
)
def test_no_text_raises_anything_else(folder: Path, parts: list[str]) -> None:
    path = folder / "functions.yaml"
    path.write_text("".join(parts))
    with pytest.raises(ManifestInvalid):
        load_manifest(path)


def test_executors_do_not_load_what_checks_manifests() -> None:
    program = (
        "import sys, processor.registry.registry as _; sys.exit('pydantic' in sys.modules or 'yaml' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=30)
