"""Whether each link within the site, and each of the README into the repository, leads somewhere. No network is asked.

Usage::

    python -m tests.docs.links SITE
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.docs.pages import ROOT


class Page(HTMLParser):
    """What a page refers to, and what can be referred to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := given.get(name))}
        self.links += [value for name in ("href", "src") if (value := given.get(name))]


@cache
def page_at(path: Path) -> Page:
    return Page(path)


def dead_links(site: Path) -> Iterator[str]:
    """Each in words."""
    for path in sorted(site.rglob("*.html")):
        for link in page_at(path).links:
            if not leads_somewhere(path, link):
                yield f"{path.relative_to(site)}: {link}"


def leads_somewhere(path: Path, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.exists():
        return False
    anchor = unquote(parts.fragment)
    return not anchor or target.suffix != ".html" or anchor in page_at(target).anchors


def dead_links_of_readme() -> Iterator[str]:
    """README links to files, which a host of the repository shows."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        parts = urlsplit(link)
        if not parts.scheme and parts.path and not (ROOT / parts.path).exists():
            yield f"README.md: {link}"


def main(site: Path) -> int:
    dead = [*dead_links(site), *dead_links_of_readme()]
    print("\n".join(dead) or "no dead links")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
