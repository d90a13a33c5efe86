"""The pages of the documentation, and the code blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "ROOT", "TEST", "Block", "blocks_of"]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

TEST = re.compile(r"^(async )?def test_|^class Test", re.M)
_FENCE = re.compile(r"(?:^<!-- not run: (?P<reason>.+?) -->\n+)?^```python[^\n]*\n(?P<source>.*?)^```$", re.M | re.S)
_NAME = re.compile(r"# (\w+\.py)\n")


@dataclass(frozen=True)
class Block:
    name: str
    source: str
    reason: str | None
    """Why it is not run, if it is not."""

    @property
    def module(self) -> str:
        return self.name.removesuffix(".py")


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    blocks = []
    for match in _FENCE.finditer(text):
        source = match["source"]
        line = text.count("\n", 0, match.start("source")) + 1
        named = _NAME.match(source)
        prefix = "test_line" if TEST.search(source) else "line"
        blocks.append(Block(named[1] if named else f"{prefix}_{line}.py", source, match["reason"]))
    return blocks
