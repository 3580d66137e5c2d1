"""A bundle (.mcpb) that hosts install by a click: manifest, icon, start script, requirements."""

import json
import zipfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.tools.mcp.browsing import DISTRIBUTION

_FILES = files("sam3i_agent.tools.mcp.hosts") / "bundle_files"


def write_bundle(path: Path, wheel: Path | None = None) -> None:
    """Write a bundle of this version, of the form 0.4 with `uv` as its runtime.

    Args:
        path: of the file.
        wheel: of this distribution, carried along; None lets the host fetch it from PyPI.

    Raises:
        InputError: the wheel is not one of this version.
        StorageError: the file cannot be written.
    """
    if wheel is not None:
        _check_wheel(wheel)
    manifest = json.loads((_FILES / "manifest.json").read_text("utf-8"))
    manifest["version"] = version(DISTRIBUTION)
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
            bundle.writestr("manifest.json", json.dumps(manifest, indent=2) + "\n")
            bundle.writestr("pyproject.toml", _requirements(manifest, wheel))
            for name in ("server.py", "icon.png"):
                bundle.writestr(name, (_FILES / name).read_bytes())
            if wheel is not None:
                bundle.write(wheel, wheel.name)
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def _check_wheel(wheel: Path) -> None:
    stem = f"{DISTRIBUTION.replace('-', '_')}-{version(DISTRIBUTION)}-"
    if not wheel.is_file() or wheel.suffix != ".whl" or not wheel.name.startswith(stem):
        raise InputError(
            f"{str(wheel)!r} is no wheel of {DISTRIBUTION} {version(DISTRIBUTION)}",
            "make one by: pip wheel --no-deps --wheel-dir dist .",
        )


def _requirements(manifest: dict[str, Any], wheel: Path | None) -> str:
    """Return the bundle's pyproject.toml."""
    lines = [
        "[project]",
        'name = "sam3i-bundle"',
        f'version = "{manifest["version"]}"',
        f'requires-python = "{manifest["compatibility"]["runtimes"]["python"]}"',
        f'dependencies = ["{DISTRIBUTION}=={manifest["version"]}"]',
    ]
    if wheel is not None:
        lines += ["", "[tool.uv.sources]", f'{DISTRIBUTION} = {{ path = "{wheel.name}" }}']
    return "\n".join(lines) + "\n"
