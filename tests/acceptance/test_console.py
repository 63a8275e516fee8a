"""The console in a real browser, against a whole Headrace in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import orjson
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.dev_server import DevServer
from tests.acceptance.prefix_proxy import PrefixProxy
from tests.browser import STEP_LIMIT_MS, any_browser, quiet_page

FUNCTIONS = Path(__file__).parent.parent / "functions"
MANIFEST = """
version: 1
functions:
  talk:
    handler: talkative:talk
    code: {code}
    env: {{PYTHONUNBUFFERED: "1"}}
  once:
    handler: talkative:talk
    code: {code}
    concurrency: 1
  answer:
    handler: talkative:talk
    code: {code}
    async_execution: false
  nightly:
    handler: talkative:talk
    code: {code}
    events:
      - schedule: {{cron: "0 3 1 1 *"}}
  pictures:
    handler: talkative:talk
    code: {code}
    events:
      - folder: {{path: "{uploads}"}}
"""
#: Markup, scripts, terminal escapes and marks of direction, wherever a user's text can come up.
EVIL = (
    "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>\x1b]8;;javascript:x\x07\u202egpj"
)
RUN = re.compile(r"/console/runs/([0-9a-f-]{36})$")
PAGES = (
    "",
    "runs",
    "logs",
    "functions",
    "functions/talk",
    "functions/new",
    "triggers",
    "queues",
    "executors",
    "settings",
)
GRAVE = ("serious", "critical")

pytestmark = pytest.mark.timeout(120)


class Site(DevServer):
    def __init__(self, folder: Path) -> None:
        self.uploads = folder / "uploads"
        self.uploads.mkdir()
        super().__init__(folder, MANIFEST.format(code=FUNCTIONS, uploads=self.uploads))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/console/{path}"

    def talk(self, **event: object) -> str:
        return self.accepted("talk", orjson.dumps(event))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = Site(tmp_path_factory.mktemp("console"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with any_browser() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with quiet_page(browser) as opened:
        yield opened


def run_of(page: Page) -> str:
    found = RUN.search(urlparse(page.url).path)
    assert found, page.url
    return found.group(1)


def test_an_upload_appears_among_the_runs_without_a_reload(site: Site, page: Page) -> None:
    page.goto(site.url("runs?function=pictures"))
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    (site.uploads / "harbour.jpg").write_bytes(b"a picture")
    row = page.get_by_role("row").filter(has_text="harbour.jpg")
    expect(row).to_contain_text("Finished")


def test_the_log_of_a_run_goes_on_while_one_looks_at_it(site: Site, page: Page) -> None:
    run = site.talk(name="Ada", lines=8, pause=0.4)
    page.goto(site.url(f"runs/{run}"))
    log = page.get_by_role("log")
    expect(log).to_contain_text("line 0 of Ada")
    assert "line 7 of Ada" not in log.inner_text()
    expect(log).to_contain_text("line 7 of Ada")
    expect(log).to_contain_text("The run has ended")
    expect(page.locator("#state")).to_contain_text("Finished")
    expect(page.locator("#outcome")).to_contain_text('"said": "Ada"')


def test_a_paused_log_holds_lines_back_and_a_filter_hides_them(site: Site, page: Page) -> None:
    run = site.talk(name="Bo", lines=12, pause=0.25)
    page.goto(site.url(f"runs/{run}"))
    log = page.get_by_role("log")
    expect(log).to_contain_text("line 1 of Bo")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("held back")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    expect(log).to_contain_text("line 11 of Bo")
    page.get_by_label("Filter the log").fill("line 11")
    expect(log.locator(".line:visible")).to_have_count(1)


def test_a_run_is_cancelled_from_its_page(site: Site, page: Page) -> None:
    run = site.talk(name="long", lines=600, pause=0.1)
    page.goto(site.url(f"runs/{run}"))
    expect(page.locator("#state")).to_contain_text("Running")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_label("at once").check()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.locator("#state")).to_contain_text("Aborted 499")
    assert site.end_of(run)["status"] == "ABORTED"


def test_a_filter_is_in_the_address_and_survives_reload_and_sharing(site: Site, page: Page, browser: Browser) -> None:
    failed = site.talk(fail="no disk in drive A")
    site.end_of(failed)
    site.end_of(site.talk(name="fine"))
    page.goto(site.url("runs"))
    page.get_by_role("link", name="Failed", exact=True).click()
    page.get_by_label("RequestId, subject or error").fill("drive a")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("row")).to_have_count(2)
    assert parse_qs(urlparse(page.url).query) == {"status": ["FAILED"], "text": ["drive a"]}
    page.reload()
    expect(page.get_by_label("RequestId, subject or error")).to_have_value("drive a")
    with quiet_page(browser) as other:
        other.goto(page.url)
        expect(other.get_by_role("row")).to_have_count(2)
        expect(other.get_by_role("row").nth(1)).to_contain_text("no disk in drive A")


def test_a_replay_jumps_to_the_new_run(site: Site, page: Page) -> None:
    run = site.talk(name="again")
    site.end_of(run)
    page.goto(site.url(f"runs/{run}"))
    page.get_by_role("button", name="Replay", exact=True).click()
    page.wait_for_url(lambda url: run not in url)
    assert site.end_of(run_of(page))["result"] == {"said": "again"}


def test_an_event_is_edited_and_replayed(site: Site, page: Page) -> None:
    run = site.talk(name="before")
    site.end_of(run)
    page.goto(site.url(f"runs/{run}"))
    expect(page.locator("#event-text")).to_contain_text('"name": "before"')
    page.get_by_role("button", name="Edit and replay…").click()
    page.get_by_role("dialog").get_by_label("Event").fill('{"name": "after"}')
    page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    page.wait_for_url(lambda url: run not in url)
    assert site.end_of(run_of(page))["result"] == {"said": "after"}


def test_all_runs_that_a_filter_finds_are_cancelled_after_a_look_at_them(site: Site, page: Page) -> None:
    runs = [site.accepted("once", orjson.dumps({"name": "slow", "lines": 600, "pause": 0.1})) for _ in range(3)]
    page.goto(site.url("runs?function=once"))
    page.get_by_role("button", name="Cancel all…").click()
    dialog = page.get_by_role("dialog", name="Cancel 3 runs?")
    expect(dialog.get_by_role("row")).to_have_count(3)
    expect(dialog).to_contain_text("headrace runs bulk cancel --function once")
    later = site.accepted("once", orjson.dumps({"name": "later"}))
    dialog.get_by_role("button", name="Cancel 3 runs").click()
    done = page.get_by_role("dialog", name="Done")
    expect(done).to_contain_text("3 of 3 cancelled")
    assert [site.end_of(each)["status"] for each in runs] == ["ABORTED"] * 3
    assert site.end_of(later)["status"] == "FINISHED"
    done.get_by_role("button", name="Close").click()
    expect(page.get_by_role("row").filter(has_text="Aborted 499")).to_have_count(3)


def test_all_runs_that_a_filter_finds_are_replayed_and_refusals_are_shown(site: Site, page: Page) -> None:
    failed = [site.talk(fail="bulk trouble") for _ in range(2)]
    for each in failed:
        site.end_of(each)
    page.goto(site.url("runs?status=FAILED&text=bulk+trouble"))
    page.get_by_role("button", name="Replay all…").click()
    page.get_by_role("button", name="Replay 2 runs").click()
    expect(page.get_by_role("dialog", name="Done")).to_contain_text("2 of 2 replayed")
    page.keyboard.press("Escape")
    expect(page.get_by_role("row").filter(has_text="bulk trouble")).to_have_count(4)
    expect(page.get_by_role("button", name="Replay all…")).to_be_focused()


def test_a_mistake_in_a_dialog_is_told_within_it(site: Site, page: Page) -> None:
    page.goto(site.url("functions/talk"))
    page.get_by_role("button", name="Invoke…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Event").fill("{not json")
    dialog.get_by_role("button", name="Invoke").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The event is not JSON")


def test_invoking_a_synchronous_function_leads_to_its_run_at_once(site: Site, page: Page) -> None:
    page.goto(site.url("functions/answer"))
    page.get_by_role("button", name="Invoke…").click()
    page.get_by_role("dialog").get_by_label("Event").fill('{"name": "long", "lines": 600, "pause": 0.1}')
    page.get_by_role("dialog").get_by_role("button", name="Invoke").click()
    page.wait_for_url(RUN)
    expect(page.locator("#state")).to_contain_text("Running")
    site.ask("POST", f"/v1/runs/{run_of(page)}/cancel", b"{}")
    expect(page.locator("#state")).to_contain_text("Aborted 499")


def test_the_functions_tell_what_runs(site: Site, page: Page) -> None:
    run = site.accepted("once", orjson.dumps({"lines": 600, "pause": 0.1}))
    page.goto(site.url("functions"))
    running = page.get_by_role("row").filter(has=page.get_by_role("link", name="once")).get_by_role("cell").nth(7)
    expect(running).to_have_text("1")
    running.get_by_role("link").click()
    expect(page.get_by_role("row").filter(has_text="Running")).to_have_count(1)
    site.ask("POST", f"/v1/runs/{run}/cancel", b"{}")
    site.end_of(run)


def test_a_schedule_is_fired_by_hand_and_its_page_tells_what_came_of_it(site: Site, page: Page) -> None:
    page.goto(site.url("triggers"))
    page.get_by_role("row").filter(has_text="0 3 1 1").get_by_role("link", name="schedule").click()
    page.get_by_role("button", name="Fire now").click()
    fired = page.get_by_label("By hand")
    expect(fired).to_contain_text("fired")
    fired.get_by_role("link").click()
    expect(page.locator("#state")).to_contain_text("Finished")


def test_the_settings_tell_what_the_gateway_was_started_with(site: Site, page: Page) -> None:
    page.goto(site.url("settings"))
    expect(page.locator("main")).to_contain_text("embedded")
    expect(page.locator("main")).to_contain_text(str(site.data))


def test_a_page_that_has_lost_its_gateway_says_so(tmp_path: Path, browser: Browser) -> None:
    site = DevServer(tmp_path, "version: 1\nfunctions: {}\n")
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/console/")
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    site.stop()
    expect(page.get_by_text("gateway away")).to_be_visible(timeout=STEP_LIMIT_MS)
    context.close()


def test_a_function_is_created_with_a_switch_that_is_locked_afterwards(site: Site, page: Page) -> None:
    page.goto(site.url("functions"))
    page.get_by_role("link", name="Create function").click()
    page.get_by_label("Name", exact=True).fill("made-here")
    page.get_by_label("Handler").fill("talkative:talk")
    page.get_by_label("Code").fill(str(FUNCTIONS))
    expect(page.get_by_role("switch")).to_be_checked()
    page.get_by_role("button", name="Create function").click()
    expect(page.get_by_text("on, locked at creation")).to_be_visible()
    page.get_by_role("button", name="Invoke…").click()
    page.get_by_role("dialog").get_by_role("button", name="Invoke").click()
    page.wait_for_url(RUN)
    assert site.end_of(run_of(page))["result"] == {"said": "Ada"}


def test_a_form_with_a_mistake_comes_back_with_the_reason(site: Site, browser: Browser) -> None:
    with quiet_page(browser, refusal=422) as page:
        page.goto(site.url("functions/new"))
        page.get_by_label("Name", exact=True).fill("broken")
        page.get_by_label("Handler").fill("talkative:talk")
        page.get_by_label("Code").fill(str(FUNCTIONS))
        page.get_by_label("Time limit").fill("soon")
        page.get_by_role("button", name="Create function").click()
        expect(page.get_by_role("alert").filter(has_text="timeout")).to_be_visible()
        expect(page.get_by_label("Time limit")).to_have_value("soon")


def test_whatever_a_user_writes_is_shown_as_text(site: Site, page: Page) -> None:
    failed = site.talk(name=EVIL, fail=EVIL, complain=EVIL)
    site.end_of(failed)
    for path in (f"runs/{failed}", "runs", f"runs?text={'<img'}", f"logs?text={'<img'}", ""):
        page.goto(site.url(path))
        expect(page.locator("main")).to_contain_text("<img src=x onerror")
        assert "owned" not in page.title()
        assert page.locator("main img").count() == 0
        assert "\u202e" not in page.locator("main").inner_text()


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390)])
def test_axe_finds_no_serious_fault_on_any_page(site: Site, browser: Browser, theme: str, width: int) -> None:
    run = site.talk(name="axe", complain="a line of warning")
    site.end_of(run)
    with quiet_page(browser, width=width, theme=theme) as page:
        for path in (*PAGES, f"runs/{run}"):
            page.goto(site.url(path))
            found = Axe().run(page).response["violations"]
            serious = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in GRAVE]
            assert serious == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} is wider than the window"
        page.goto(site.url("runs?function=talk"))
        page.get_by_role("button", name="Replay all…").click()
        expect(page.get_by_role("dialog", name=re.compile("Replay .* runs?"))).to_be_visible()
        assert [each["id"] for each in Axe().run(page).response["violations"] if each["impact"] in GRAVE] == []


def test_it_works_below_a_path_of_a_proxy(site: Site, page: Page) -> None:
    with PrefixProxy("/tools/headrace", site.port) as proxy:
        page.goto(f"{proxy.url}/console/")
        page.get_by_role("link", name="Functions").click()
        page.get_by_role("link", name="talk").click()
        page.get_by_role("button", name="Invoke…").click()
        page.get_by_role("dialog").get_by_role("button", name="Invoke").click()
        page.wait_for_url(RUN)
        assert urlparse(page.url).path.startswith("/tools/headrace/console/runs/")
        expect(page.get_by_role("log")).to_contain_text("line 0 of Ada")
        expect(page.locator("#state")).to_contain_text("Finished")


def test_the_keyboard_goes_through_rows_and_to_the_search(site: Site, page: Page) -> None:
    site.end_of(site.talk(name="keys"))
    page.goto(site.url("runs"))
    page.keyboard.press("/")
    expect(page.get_by_label("RequestId, subject or error")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(RUN)


def test_a_form_of_another_site_changes_nothing(site: Site) -> None:
    run = site.talk(name="safe", lines=20, pause=0.1)
    answer = site.ask("POST", f"/console/runs/{run}/cancel", b"now=1", Origin="http://evil.example")
    assert answer.problem[:2] == (403, "other-origin")
    assert site.end_of(run)["status"] == "FINISHED"


def test_every_page_forbids_what_is_inline_or_from_elsewhere(site: Site, page: Page) -> None:
    for path in PAGES:
        answer = page.goto(site.url(path))
        assert answer is not None
        assert answer.status == 200, path
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
