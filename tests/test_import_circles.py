"""No module needs another one that needs it, not even for its types or inside a function."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "sam3i_agent."


def _modules() -> dict[str, Path]:
    paths = (path for top in ROOT.glob("*/__init__.py") for path in top.parent.rglob("*.py"))
    return {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): path
        for path in paths
        if path.relative_to(ROOT).parts[0] != "tests"
    }


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
    return {name.removeprefix(PACKAGE) for name in found if name.startswith(PACKAGE)}


def test_no_circles():
    modules = _modules()
    assert len(modules) > 100
    graph = {name: _imports(path) & modules.keys() for name, path in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from error
