"""Imports point one way, in one picture (test_import_circles.py: and never in a circle)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "prompts": set(),
    "data": {"core"},
    "segmodel": {"core"},
    "agent": {"core", "prompts", "segmodel"},
    "training": {"core", "data", "segmodel"},
    "evaluation": {"core", "data", "segmodel", "agent"},
    "tools": {"core", "prompts", "segmodel", "agent"},
    "benchmarks": {"core", "data", "segmodel", "agent", "tools", "evaluation"},
    "cli": {"core", "data", "segmodel", "agent", "tools", "training", "evaluation", "benchmarks"},
}
"""Folder to the folders whose modules its modules may import; its own always."""
NO_TORCH = {"core", "data", "prompts", "agent"}
"""Folders whose modules never import torch or transformers, not even inside a function."""
HEAVY = {"torch", "torchvision", "transformers"}


def _modules() -> dict[str, Path]:
    return {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): path
        for folder in MAY_IMPORT
        for path in (ROOT / folder).glob("**/*.py")
    }


MODULES = _modules()


def _imports(path: Path) -> set[str]:
    """Return the full names that a module imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{one.name}" for one in node.names}
    return names


def _own(names: set[str]) -> set[str]:
    """Return the modules of this project among names."""
    found: set[str] = set()
    for name in names:
        local = name.removeprefix("sam3i_agent.")
        if local != name:
            found |= {local} & MODULES.keys() or {local.rpartition(".")[0]} & MODULES.keys()
    return found


def test_every_folder_is_in_the_picture():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert folders == MAY_IMPORT.keys()


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_point_one_way(folder: str):
    wrong = [
        f"{module} imports {other}"
        for module, path in MODULES.items()
        if module.split(".")[0] == folder
        for other in _own(_imports(path))
        if other.split(".")[0] not in MAY_IMPORT[folder] | {folder}
    ]
    assert not wrong


@pytest.mark.parametrize("folder", sorted(NO_TORCH))
def test_light_folders_never_import_torch(folder: str):
    wrong = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        if module.split(".")[0] == folder
        for name in _imports(path)
        if name.split(".")[0] in HEAVY
    ]
    assert not wrong


def test_no_folder_and_no_file_is_too_large():
    crowded = {
        folder: count
        for folder in {path.parent for path in MODULES.values()}
        if (count := len([one for one in folder.glob("*.py") if one.stem != "__init__"])) > 15
    }
    long = {
        module: count
        for module, path in MODULES.items()
        if (count := len(path.read_text().splitlines())) > 400
    }
    assert not crowded and not long


def test_nothing_private_of_the_mcp_sdk_is_used():
    wrong = []
    for module, path in MODULES.items():
        imported = {name for name in _imports(path) if name.split(".")[0] in ("mcp", "mcp_types")}
        parts = {name: name.split(".") for name in imported}
        wrong += [f"{module} imports {one}" for one in parts if any(map(_is_private, parts[one]))]
        if imported:
            wrong += [f"{module} uses {name}" for name in _foreign_private_names(path)]
    assert not wrong


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _foreign_private_names(path: Path) -> set[str]:
    """Return the private attributes that a module uses and does not itself define."""
    tree = ast.parse(path.read_text())
    own = {one.name for one in ast.walk(tree) if hasattr(one, "name") and isinstance(one.name, str)}
    attributes = [one for one in ast.walk(tree) if isinstance(one, ast.Attribute)]
    own |= {one.attr for one in attributes if isinstance(one.ctx, ast.Store)}
    own |= {
        one.target.id
        for one in ast.walk(tree)
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }
    return {one.attr for one in attributes if _is_private(one.attr)} - own
