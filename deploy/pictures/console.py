"""Makes docs/pictures/console.png: `make pictures`. A Headrace of its own, the samples run for a moment, one look."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import orjson
from playwright.sync_api import sync_playwright

from processor.ops.processes import Role, headrace

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "pictures" / "console.png"
WIDTH, HEIGHT = 1440, 900
READY_SEC = 40.0
#: The samples run for so long before the look.
LOAD_SEC = 40.0


def main() -> int:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        print("no Chromium here: install Debian's `chromium`", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="headrace-picture-") as folder:
        arguments = ["dev", "--functions", str(ROOT / "examples" / "functions.yaml"), "--port", "0", "--no-open"]
        with Role([*arguments, "--data", f"{folder}/data"], {}, Path(folder, "log")) as role:
            url = role.wait_for("ready gateway", READY_SEC).split()[-1]
            role.wait_for("ready dev", READY_SEC)
            _work(url)
            _look(browser, url)
    print(PICTURE.relative_to(ROOT))
    return 0


def _work(url: str) -> None:
    """Some of everything: short ones, failing ones, one that goes on."""
    environment = {"HEADRACE_GATEWAY__URL": url}
    headrace(["invoke", "transcode", "--data", "{}"], environment)
    until = time.monotonic() + LOAD_SEC
    number = 0
    while time.monotonic() < until:
        number += 1
        headrace(["invoke", "hello", "--data", orjson.dumps({"name": f"visitor {number}"}).decode()], environment)
        if number % 9 == 0:
            headrace(["invoke", "etl", "--data", '{"csv": "orders-of-a-day-that-is-missing.csv"}'], environment)


def _look(browser: str, url: str) -> None:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = running.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(f"{url}/console/")
        page.get_by_text("live", exact=True).wait_for()
        page.locator("#chart-runs canvas").wait_for()
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
        running.close()


if __name__ == "__main__":
    sys.exit(main())
