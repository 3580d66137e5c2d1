"""What the pages hold: blocks of code, and the files that their authors want written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "segmodel/tiny/MODEL_CARD.md"]
PAGES += sorted(DOCS.glob("*.md"))
_BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(
    r"^`(?P<path>[^`\n]+)`, (?P<how>new|changed):\n\n```\w+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class FileBlock:
    """A file that a page adds, or a change of one."""

    path: str
    """Relative to the root."""
    is_new: bool
    text: str
    """The file, or a diff of it: hunks are parted by lines that begin with `@@`."""

    def write(self, root: Path) -> None:
        """Write the file or change it, in a copy of the tree."""
        path = root / self.path
        if self.is_new:
            assert not path.exists(), f"{self.path} is there already"
            path.write_text(self.text, "utf-8")
            return
        whole = path.read_text("utf-8")
        for hunk in re.split(r"^@@.*\n", self.text, flags=re.MULTILINE):
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] in " -")
            after = "".join(line[1:] for line in lines if line[0] in " +")
            assert whole.count(before) == 1, f"{self.path} has no longer one place for:\n{hunk}"
            whole = whole.replace(before, after)
        path.write_text(whole, "utf-8")


def blocks(page: Path, kind: str | None = None) -> Iterator[str]:
    """Yield the fenced blocks of a page, of one kind or of all."""
    for found in _BLOCK.finditer(page.read_text("utf-8")):
        if kind is None or found["kind"] == kind:
            yield found["text"]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text("utf-8"))


def file_blocks(page: Path) -> list[FileBlock]:
    """Return the blocks that are files, which a line such as "`a/b.py`, new:" goes before."""
    return [
        FileBlock(found["path"], found["how"] == "new", found["text"])
        for found in _FILE.finditer(page.read_text("utf-8"))
    ]
