"""A dead link is seen; that there is none is for ``tox -e docs``, which has built the site."""

from __future__ import annotations

from pathlib import Path

from tests.docs.links import dead_links, dead_links_of_readme


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<a id="top" href="other.html#here">a</a> <a href="other.html#gone">b</a> <a href="gone.html">c</a> '
        '<a href="#top">d</a> <a href="#bottom">e</a> <a href="https://example.org/">f</a> <img src="gone.svg">'
    )
    (tmp_path / "other.html").write_text('<h1 id="here">Here</h1>')
    assert list(dead_links(tmp_path)) == [
        "index.html: other.html#gone",
        "index.html: gone.html",
        "index.html: #bottom",
        "index.html: gone.svg",
    ]


def test_the_readme_has_none() -> None:
    assert list(dead_links_of_readme()) == []
