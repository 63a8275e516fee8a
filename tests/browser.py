"""A real browser for the tests: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

#: One step: a click, an appearance.
STEP_LIMIT_MS = 15_000
_HOME = os.environ.get("HEADRACE_TEST_BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
#: It runs as root in CI, where there is nothing else to protect.
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@contextlib.contextmanager
def any_browser() -> Iterator[Browser]:
    """Fails in CI where there is none, and is said aloud elsewhere."""
    if _HOME is None:
        why = "no Chromium here: install Debian's `chromium`, or name one in HEADRACE_TEST_BROWSER"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    expect.set_options(timeout=STEP_LIMIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_HOME, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def quiet_page(
    browser: Browser, *, width: int = 1440, height: int = 900, theme: str = "light", refusal: int = 0
) -> Iterator[Page]:
    """A page in a session of its own. Whatever it wrote to the browser's console as an error fails the test: that is
    also where the browser tells of what the content security policy forbade.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(STEP_LIMIT_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
    finally:
        with contextlib.suppress(Error):
            context.close()
    expected = [each for each in complaints if refusal and f"status of {refusal}" in each]
    others = [each for each in complaints if each not in expected]
    assert others == [], others
    assert bool(expected) == bool(refusal)
