"""Where the numbers of a comparison come from: everything that someone needs to get them again."""

import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.evaluation.compare.scoring import HIT_IOU
from sam3i_agent.evaluation.compare.significance import BOOTSTRAP_ROUNDS, BOOTSTRAP_SEED
from sam3i_agent.evaluation.metrics.concept_f1 import MIN_SCORE
from sam3i_agent.segmodel.checkpoints.hashes import RunningWeights, sha256_of
from sam3i_agent.segmodel.segmenter import Segmenter

_CPU_DTYPE = "float32; bfloat16 for a large model on a CPU with AMX"
_SHOWN = 16
"""Characters of a hash."""


def provenance(
    dataset: Path,
    segmenter: Segmenter | ModelChoice,
    language: Mapping[str, str],
    elsewhere: Mapping[str, Path],
) -> dict[str, str]:
    """Return what to know of a comparison, by name.

    Args:
        dataset: file or folder.
        segmenter: the model, or which.
        language: settings of the agent's language side.
        elsewhere: files of predictions by route.
    """
    commit = _commit()
    found = {
        "version": version("sam3i-agent") + (f", commit {commit}" if commit else ""),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "dataset": f"{dataset.name}{_hashes([sha256_of(dataset)] if dataset.is_file() else [])}",
        **_of_model(segmenter),
        **{f"language: {name}": value for name, value in language.items()},
        "prompts": _prompts(language),
        "thresholds": f"score from {MIN_SCORE}, hit from IoU {HIT_IOU}",
        "intervals": f"{BOOTSTRAP_ROUNDS} resamples of photos, seed {BOOTSTRAP_SEED}",
    }
    for name, path in elsewhere.items():
        found[f"predictions {name}"] = f"{path.name}{_hashes([sha256_of(path)])}"
    return found


def _prompts(language: Mapping[str, str]) -> str:
    """Return the versions of the words that the language models read."""
    versions = [value for name, value in language.items() if name.split()[-1] == "prompts"]
    return ", ".join(dict.fromkeys(versions)) or "none: no language model"


def language_settings(choice: LanguageChoice | None, name: str = "") -> dict[str, str]:
    """Return how a language model was asked, without secrets; nothing where there is none.

    Args:
        choice: the model and its settings.
        name: of the model, before each setting, where there are several.
    """
    if choice is None:
        return {}
    values = choice.without_secrets().model_dump(mode="json", exclude_none=True)
    start = f"{name} " if name else ""
    return {f"{start}{key}": str(value) for key, value in values.items() if value != {}}


def _of_model(segmenter: Segmenter | ModelChoice) -> dict[str, str]:
    if not isinstance(segmenter, ModelChoice):
        return {"model": segmenter.name + _hashes(one.sha256 for one in segmenter.weights)}
    from sam3i_agent.segmodel.checkpoints.loading import pick_device

    device = pick_device(segmenter.device)
    files = RunningWeights(segmenter.name).files()
    return {
        "model": segmenter.name + _hashes(one.sha256 for one in files),
        "device": str(device),
        "dtype": "bfloat16" if device.type == "cuda" else _CPU_DTYPE,
        "tiling": str(segmenter.tiling),
    }


def _hashes(hashes: Iterable[str]) -> str:
    """Return the starts of files' hashes, in words."""
    return "".join(f", sha256 {one[:_SHOWN]}" for one in hashes)


def _commit() -> str:
    """Return the commit of the checkout that this runs from; nothing where it is installed."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
