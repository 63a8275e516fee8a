"""What people see of it in a browser: how soon a page is there, how heavy it is, how late a printed line is, and what a
run that prints without end costs the others. Needs Chromium and playwright, which the project's tests need too.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from typing import Any

from processor.core.errors import HeadraceError
from processor.ops.bench.figures import Figure, percentile
from processor.ops.bench.latency import WARM_SECONDS, first_line_delays_ms, followed
from processor.ops.bench.site import Site

LOADS = 10
PAGES = ("", "runs", "functions", "logs")
FOLLOWERS = 50
LINES = 100
LINE_EVERY_SEC = 0.05
FLOOD_LINES = 2_000_000
FLOOD_PER_SEC = 200_000
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
_LIMIT_MS = 60_000
#: Of a page: when anything of it was first seen, and what it and its files weigh on the wire.
_PAINT = """() => new Promise((found) => new PerformanceObserver((list) => {
  const [paint] = list.getEntriesByName('first-contentful-paint');
  if (paint) found(paint.startTime);
}).observe({ type: 'paint', buffered: true }))"""
_BYTES = """[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .reduce((sum, each) => sum + each.transferSize, 0)"""
#: Each line is the time at which it was printed; notes how much later it is in the page.
_WATCH = """() => {
  window.late = [];
  const begun = Date.now(); // what was printed before the page was there says nothing
  new MutationObserver((changes) => {
    for (const change of changes) for (const row of change.addedNodes) {
      const at = Number(row.lastElementChild?.textContent);
      if (at * 1000 > begun) window.late.push(Date.now() - at * 1000);
    }
  }).observe(document.querySelector('[data-log-lines]'), { childList: true });
}"""


class NoBrowser(HeadraceError):
    """There is no browser to measure with."""

    remedy = "Install Debian's `chromium`, or leave this part out: --only ..."


def console(site: Site) -> list[Figure]:
    home = shutil.which("chromium") or shutil.which("chromium-browser")
    if home is None:
        raise NoBrowser
    from playwright.sync_api import sync_playwright  # of the tests: whoever measures something else needs none

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=home, args=_FLAGS)
        figures = _pages(site, browser) + _print_to_browser(site, browser)
        browser.close()
    return figures + beside_a_flood(site)


def _pages(site: Site, browser: Any) -> list[Figure]:
    """Cold: each load in a session of its own, without anything kept."""
    for _ in range(20):
        site.invoke("bench-noop", {})
    paints, weights = [], []
    for number in range(LOADS + 1):
        for path in PAGES if number == LOADS else PAGES[:1]:
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{site.port}/console/{path}", wait_until="load")
            paint = page.evaluate(_PAINT)
            weights.append(page.evaluate(_BYTES) / 1000)
            if number < LOADS:
                paints.append(paint)
            context.close()
    return [
        Figure(name="console first paint, p50", value=percentile(paints, 0.5), unit="ms", target=300, better="lower"),
        Figure(name="console first paint, p95", value=percentile(paints, 0.95), unit="ms", target=300, better="lower"),
        Figure(name="console, heaviest page in all", value=max(weights), unit="KB", target=150, better="lower"),
    ]


def _print_to_browser(site: Site, browser: Any) -> list[Figure]:
    """All but one of the followers are plain sockets; one is a page."""
    run = site.invoke("bench-talk", {"lines": LINES, "every_sec": LINE_EVERY_SEC})
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/console/runs/{run}")
    page.evaluate(_WATCH)
    delays: list[float] = []
    others = threading.Thread(target=lambda: delays.extend(asyncio.run(_sockets(site.port, run))))
    others.start()
    page.get_by_text("The run has ended").wait_for(timeout=_LIMIT_MS)
    others.join()
    seen = page.evaluate("window.late")
    page.close()
    name = f"print() to one of {FOLLOWERS} followers"
    sockets = percentile([each * 1000 for each in delays], 0.95)
    return [
        Figure(name=f"{name}, page, p95", value=percentile(seen, 0.95), unit="ms", target=300, better="lower"),
        Figure(name=f"{name}, socket, p95", value=sockets, unit="ms", target=300, better="lower"),
    ]


async def _sockets(port: int, run: str) -> list[float]:
    each = await asyncio.gather(*(followed(port, run) for _ in range(FOLLOWERS - 1)))
    # What was printed before they were there says nothing.
    return [delay for one in each for delay in one[-LINES // 2 :]]


def beside_a_flood(site: Site) -> list[Figure]:
    """How late another function's first line is while one run prints without end; and whether all its lines, or a
    count of those that were lost, and its verdict are there.
    """
    quiet = _first_lines(site)
    flood = site.invoke("bench-flood", {"lines": FLOOD_LINES, "per_sec": FLOOD_PER_SEC})
    while site.request("GET", f"/v1/runs/{flood}")[1]["status"] == "QUEUED":
        time.sleep(0.05)
    flooded = _first_lines(site)
    _, ended = site.request("GET", f"/v1/runs/{flood}?wait=60")
    if ended["status"] != "FINISHED" or ended["log_lines"] != FLOOD_LINES:
        raise HeadraceError(f"the run that prints much: {ended['status']}, {ended['log_lines']} lines")
    return [
        Figure(
            name="lines/s of one run that prints as fast as it may", value=FLOOD_LINES / ended["result"], unit="/s",
            target=None, better="higher",
        ),
        Figure(
            name="202 to first line, alone, p95", value=percentile(quiet, 0.95), unit="ms", target=None, better="lower"
        ),
        Figure(
            name=f"202 to first line beside {FLOOD_PER_SEC:,} lines/s, p95", value=percentile(flooded, 0.95),
            unit="ms", target=None, better="lower",
        ),
    ]  # fmt: skip


def _first_lines(site: Site) -> list[float]:
    first_line_delays_ms(site, "bench-first-line", per_sec=20, seconds=WARM_SECONDS)
    return first_line_delays_ms(site, "bench-first-line", per_sec=20, seconds=6)
