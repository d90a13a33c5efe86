"""The site as a browser shows it: pictures of its pages, what is cut off, what is hard to read, and what searches find.

Usage, with chromedriver and Chromium installed::

    sphinx-build -E docs docs/_build  # all of it, for a part built anew loses entries of the search
    python -m tests.docs.browser docs/_build PICTURES [PAGE ...]

It writes a picture of each page, at the width of a desktop and of a phone, light and dark, and prints what it finds:

- what is wider than the page, and can't be scrolled;
- text whose contrast with what is behind it is below 4.5 (WCAG 2, level AA);
- images without an alternative text;
- searches whose first result is another page than the one that is meant.
"""

from __future__ import annotations

import base64
import functools
import http.server
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests

SEARCHES: Final = {
    "fresh app per test": "fresh",
    "dependency_overrides": "fastapi",
    "mock": "mocks",
    "database": "copies",
    "hangs": "hangs",
}
_WIDTHS: Final = {"desktop": (1280, 900), "phone": (390, 844)}
_FLAGS: Final = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_CUT_OFF: Final = """
const found = [];
const room = document.documentElement.clientWidth;
for (const element of document.querySelectorAll('article *')) {
  const box = element.getBoundingClientRect();
  if (!box.width || box.right <= room + 1 || element.closest('svg')) continue;
  let parent = element, scrolls = false;
  while ((parent = parent.parentElement) && parent.tagName !== 'BODY')
    if (['auto', 'scroll'].includes(getComputedStyle(parent).overflowX)) scrolls = true;
  if (!scrolls) found.push(element.tagName + ' ' + element.className + ': ' + element.textContent.slice(0, 40));
}
return found;
"""
_CONTRAST: Final = """
const channels = text => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
  .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
const behind = element => {
  for (; element; element = element.parentElement) {
    const color = channels(getComputedStyle(element).backgroundColor);
    if (color.length === 3 || color[3] > 0.9) return color;
  }
  return [255, 255, 255];
};
const found = {};
const walker = document.createTreeWalker(document.querySelector('article'), NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !element.getClientRects().length) continue;
  if (['STYLE', 'SCRIPT'].includes(element.tagName) || element.closest('.headerlink, .copybtn')) continue;
  const color = getComputedStyle(element).color, ground = behind(element);
  const [high, low] = [light(channels(color)), light(ground)].sort((a, b) => b - a);
  const ratio = (high + 0.05) / (low + 0.05);
  if (ratio < 4.5) found[element.tagName + '.' + element.className + ' ' + color + ' on ' + ground + ' ' +
    ratio.toFixed(2)] = walker.currentNode.textContent.trim().slice(0, 30);
}
return Object.entries(found).map(([what, text]) => what + ': ' + text);
"""
_NO_ALT: Final = """
return [...document.querySelectorAll('article img')].filter(i => !i.alt || i.alt.endsWith('.svg')).map(i => i.src)
"""
_FIRST_RESULT: Final = """
const links = [...document.querySelectorAll('#search-results ul.search > li > a')];
return links.slice(0, 4).map(link => link.getAttribute('href'));
"""


class Browser:
    """A session of WebDriver, over its protocol."""

    def __init__(self, address: str, profile: str) -> None:
        options = {"args": [*_FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
        session = requests.post(f"{address}/session", json=wanted, timeout=60).json()["value"]["sessionId"]
        self._address = f"{address}/session/{session}"

    def _do(self, command: str, **arguments: Any) -> Any:
        answer = requests.post(f"{self._address}/{command}", json=arguments, timeout=60).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']}: {answer['message'][:300]}")
        return answer

    def look(self, width: int, height: int, scheme: str) -> None:
        """Have the pages that are opened from now on so wide, and in this scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._devtools("Emulation.setDeviceMetricsOverride", size)
        scheme_of_system = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self._devtools("Emulation.setEmulatedMedia", scheme_of_system)

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._do("goog/cdp/execute", cmd=command, params=parameters)

    def open(self, url: str) -> None:
        self._do("url", url=url)

    def run(self, script: str) -> Any:
        return self._do("execute/sync", script=script, args=[])

    def picture(self) -> bytes:
        """Of the whole page, however long; of some screens where it is very long."""
        height = min(int(self.run("return document.documentElement.scrollHeight")), 6000)
        width = int(self.run("return window.innerWidth"))
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        taken = self._devtools("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        return base64.b64decode(taken["data"])

    def close(self) -> None:
        requests.delete(self._address, timeout=60)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser that ends with the block."""
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    try:
        port = next(found[1] for line in driver.stdout if (found := re.search(r"successfully on port (\d+)", line)))
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            session = Browser(f"http://127.0.0.1:{port}", profile)
            try:
                yield session
            finally:
                session.close()
    finally:
        driver.terminate()
        driver.wait(10)


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The site, at an address of this machine; from files, a browser would not let scripts read its search index."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)


def look_at_pages(seen: Browser, address: str, pages: list[str], pictures: Path) -> int:
    """Write the pictures of all pages and print what is wrong; return how much that is."""
    wrong = 0
    for name, (width, height) in _WIDTHS.items():
        for scheme in ("light", "dark"):
            seen.look(width, height, scheme)
            for page in pages:
                seen.open(f"{address}/{page}.html")
                (pictures / f"{page}-{name}-{scheme}.png").write_bytes(seen.picture())
                for what, script in (("cut off", _CUT_OFF), ("contrast", _CONTRAST), ("no text for", _NO_ALT)):
                    for found in seen.run(script):
                        wrong += 1
                        print(f"{page}, {name}, {scheme}: {what}: {found}")
    return wrong


def search(seen: Browser, address: str) -> int:
    """Print what the searches find; return how many find another page first."""
    wrong = 0
    for query, page in SEARCHES.items():
        seen.open(f"{address}/search.html?q={query.replace(' ', '+')}")
        found: list[str] = []
        for _ in range(50):
            found = seen.run(_FIRST_RESULT)
            done = "searching" not in seen.run("return document.querySelector('#search-results').innerText").lower()
            if done and found:
                break
            seen.run("return 0")
        right = bool(found) and found[0].split(".")[0] == page
        wrong += not right
        print(f"{'found' if right else 'NOT FOUND'}: {query}: {', '.join(found)}")
    return wrong


def main(site: Path, pictures: Path, *pages: str) -> int:
    pictures.mkdir(parents=True, exist_ok=True)
    left_out = {"genindex", "search", "py-modindex"}
    chosen = list(pages) or sorted(path.stem for path in site.glob("*.html") if path.stem not in left_out)
    with served(site) as address, browser() as seen:
        return 1 if look_at_pages(seen, address, chosen, pictures) + search(seen, address) else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
