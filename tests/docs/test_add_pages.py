"""The pages "Add a ..." work: their files are written into a copy of the tree and their tests run.

All pages go into one copy, which shows that they do not get in each other's way.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, FileBlock, file_blocks

ADD_PAGES = {page.stem: file_blocks(page) for page in DOCS.glob("add-*.md")}
TOUCHED = {
    "add-a-tool": 2,
    "add-a-dataset-format": 2,
    "add-a-segmenter": 1,
    "add-a-language-side": 1,
    "add-an-agent": 1,
}
"""Files that each page says have to be touched, tests apart."""
_WORDS = {1: "One file", 2: "Two files"}
_COPIED = ("agent", "benchmarks", "cli", "core", "data", "evaluation", "prompts", "segmodel",
           "tests", "tools", "training", "typings")  # fmt: skip
_LINKED = ("examples", "pyproject.toml")


def _is_test(block: FileBlock) -> bool:
    return block.path.startswith("tests/")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with what all pages add."""
    tree = tmp_path_factory.mktemp("tree")
    for name in _COPIED:
        shutil.copytree(
            ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in _LINKED:
        (tree / name).symlink_to(ROOT / name)
    for files in ADD_PAGES.values():
        for block in files:
            block.write(tree)
    return tree


@pytest.fixture(scope="module")
def outcome(tree: Path) -> subprocess.CompletedProcess[str]:
    """The tests of all pages, run once in a process of their own."""
    tests = [block for files in ADD_PAGES.values() for block in files if _is_test(block)]
    # Of a test that a page changes, no more than the case that it adds.
    names = (Path(block.path).stem.removeprefix("test_") for block in tests if block.is_new)
    # typings/ has the folders under the name of the package.
    environment = {**os.environ, "PYTHONPATH": str(tree / "typings")}
    options = ("-p", "no:cacheprovider", "-q", "-rA", "-k", " or ".join(names))
    command = [sys.executable, "-m", "pytest", *options, *(block.path for block in tests)]
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("page", TOUCHED)
def test_what_a_page_adds_passes_the_tests_that_it_shows(
    page: str, outcome: subprocess.CompletedProcess[str]
):
    tests = [block.path for block in ADD_PAGES[page] if _is_test(block)]
    assert tests
    for path in tests:
        assert re.search(rf"^PASSED {path}::", outcome.stdout, re.MULTILINE), outcome.stdout
        assert not re.search(rf"^(FAILED|ERROR) {path}", outcome.stdout, re.MULTILINE), (
            outcome.stdout
        )


@pytest.mark.parametrize("page", TOUCHED)
@pytest.mark.parametrize("check", [("check",), ("format", "--check")], ids=" ".join)
def test_what_a_page_adds_is_written_as_the_rest_is(page: str, check: tuple[str, ...], tree: Path):
    files = [block.path for block in ADD_PAGES[page]]
    command = [sys.executable, "-m", "ruff", *check, "--no-cache", *files]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", TOUCHED)
def test_a_page_says_how_many_files_it_touches(page: str):
    assert len([block for block in ADD_PAGES[page] if not _is_test(block)]) == TOUCHED[page]
    text = (DOCS / f"{page}.md").read_text("utf-8")
    first = text.split("\n\n")[1]
    assert first.startswith(_WORDS[TOUCHED[page]])


def test_every_page_is_tried():
    assert set(TOUCHED) <= set(ADD_PAGES)
    assert {page for page, files in ADD_PAGES.items() if files} == set(TOUCHED)
