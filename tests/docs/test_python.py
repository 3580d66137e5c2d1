"""The Python of the pages runs, page by page, as a reader would paste it."""

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, blocks, file_blocks


def _code(page: Path) -> str:
    files = {block.text for block in file_blocks(page)}
    return "\n".join(block for block in blocks(page, "python") if block not in files)


WITH_CODE = [page for page in PAGES if _code(page)]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(_code(page), page.name, "exec"), {"__name__": page.stem})
    assert capsys.readouterr().out.strip()


def test_the_readme_has_an_example():
    assert ROOT / "README.md" in WITH_CODE
