"""Every Python code block of the README and the documentation runs.

The blocks of a page are written to a directory, and pytest runs there in a process of its own, once for each page.

- A block with tests is a test module.
- A block whose first line is a comment with a file name is saved under that name. If it has no tests, it is a module
  that another block of the page must use.
- Any other block is a script, and runs from top to bottom.
- A block that cannot run follows a comment ``<!-- not run: reason -->``, and only has to be Python.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import isoclient
from tests.docs.pages import PAGES, ROOT, TEST, Block, blocks_of


def write(blocks: list[Block], directory: Path) -> set[str]:
    """Writes the blocks and returns the names of the modules that hold a test."""
    modules = set()
    for block in blocks:
        (directory / block.name).write_text(block.source, encoding="utf-8")
        if TEST.search(block.source):
            modules.add(block.module)
        elif block.name.startswith("line_"):
            wrapper = f"test_{block.module}"
            (directory / f"{wrapper}.py").write_text(
                f"def test_block():\n    import {block.module}\n", encoding="utf-8"
            )
            modules.add(wrapper)
        else:
            others = "".join(other.source for other in blocks if other is not block)
            assert re.search(rf"\b{block.module}\b", others), f"no block of this page uses {block.name}"
    return modules


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_blocks_run(page: Path, tmp_path: Path) -> None:
    found = blocks_of(page)
    assert len(found) == page.read_text(encoding="utf-8").count("```python"), "a block that is not seen as one"
    for block in found:
        compile(block.source, block.name, "exec")
    blocks = [block for block in found if block.reason is None]
    assert len({block.name for block in blocks}) == len(blocks), "two blocks of one name"
    modules = write(blocks, tmp_path)
    if not modules:
        return
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = -p isoclient -p anyio\nfilterwarnings = error\n", encoding="utf-8"
    )

    package = str(Path(isoclient.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--junit-xml=report.xml"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # those that happen to be installed take two seconds to load
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout
    cases = list(ElementTree.parse(tmp_path / "report.xml").iter("testcase"))
    passed = {(case.get("classname") or "").split(".")[0] for case in cases if len(case) == 0}
    assert passed == modules, done.stdout
