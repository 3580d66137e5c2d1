"""Shared fixtures: small data with known answers, the shipped model, a segmenter that knows all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sam3i_agent.core.contracts import WeightsFile
from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.instances import ClickMasks, Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Prompt
from sam3i_agent.data.scenes import Scene, generate_scene
from sam3i_agent.segmodel.network.configuration import InstructionSam3Config
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter
from sam3i_agent.segmodel.segmenter import Box, Tracker
from sam3i_agent.segmodel.video.linking import LinkingTracker

DATA = Path(__file__).parent / "data"


def small_config(adapter_dim: int | None = 16) -> InstructionSam3Config:
    """The configuration of the reference checkpoint in tests/data/sam3i_small."""
    detr = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "dropout": 0.0,
    }
    return InstructionSam3Config(
        vision_config={
            "backbone_config": {
                "image_size": 112,
                "patch_size": 14,
                "window_size": 4,
                "pretrain_image_size": 56,
                "global_attn_indexes": [1, 3],
                "hidden_size": 48,
                "num_hidden_layers": 4,
                "num_attention_heads": 4,
                "intermediate_size": 96,
                "layer_norm_eps": 1e-5,
            },
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
        text_config={
            "vocab_size": 49408,
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "hidden_act": "gelu",
            "projection_dim": 512,
            "max_position_embeddings": 32,
        },
        geometry_encoder_config={**detr, "num_layers": 3},
        detr_encoder_config={**detr, "num_layers": 2},
        detr_decoder_config={**detr, "num_layers": 3, "num_queries": 12},
        mask_decoder_config={
            "hidden_size": 32,
            "num_attention_heads": 4,
            "num_upsampling_stages": 3,
        },
        adapter_dim=adapter_dim,
    )


@pytest.fixture(scope="session", autouse=True)
def _own_runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs of the tests are recorded among the tests' files, not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAM3I_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.fixture(scope="session")
def reference_checkpoint() -> Path:
    return DATA / "sam3i_small" / "checkpoint.pt"


@pytest.fixture(scope="session")
def tiny() -> Sam3Segmenter:
    """The shipped model on the CPU."""
    from sam3i_agent.segmodel.checkpoints.loading import load_segmenter

    return load_segmenter("tiny", device="cpu")


@dataclass
class KnowingSegmenter:
    """Answers noun phrases from a table, and counts what it was asked; a `Segmenter`."""

    answers: dict[str, list[tuple[np.ndarray, float]]] = field(default_factory=dict)
    """Text to (mask, score) pairs."""
    levels: tuple[InstructionLevel, ...] = (InstructionLevel.CONCEPT,)
    encodings: int = 0
    asked: list[tuple[str, InstructionLevel]] = field(default_factory=list)
    name: str = "knowing"
    takes_exemplars: bool = False
    takes_clicks: bool = False
    has_memory: bool = False
    context_length: int = 32
    weights: tuple[WeightsFile, ...] = ()

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2

    def encode(self, photo: Photo, *, keep: bool = True) -> "KnowingImage":
        self.encodings += 1
        return KnowingImage(self, photo.size_hw)

    def click(
        self,
        photo: Photo,
        clicks: Sequence[Click] = (),
        box_xyxy: Box | None = None,
        mask: NDArray[np.bool_] | None = None,
        *,
        several: bool = True,
    ) -> ClickMasks:
        raise ModelError("it knows nothing about clicks", "say in words what to look for")

    def follow(self, text: str) -> Tracker:
        return LinkingTracker(self, text)


@dataclass
class KnowingImage:
    segmenter: KnowingSegmenter
    size_hw: tuple[int, int]
    encodings: int = 1

    def segment(self, prompts: Sequence[Prompt]) -> list[Instances]:
        if any(prompt.exemplars for prompt in prompts):
            raise InputError("it knows nothing about example boxes")
        if not {prompt.level for prompt in prompts} <= set(self.segmenter.levels):
            raise InputError("it does not read instructions of this level")
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, prompt: Prompt) -> Instances:
        self.segmenter.asked.append((prompt.text, prompt.level))
        found = self.segmenter.answers.get(prompt.text, [])
        boxes = [_box(mask) for mask, _ in found]
        return Instances(
            masks=Masks.encode([mask for mask, _ in found], self.size_hw),
            boxes_xyxy=np.array(boxes, dtype=np.float32).reshape(-1, 4),
            scores=np.array([score for _, score in found], dtype=np.float32),
            presence=0.9 if found else 0.1,
        )


def _box(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def block(x0: int, y0: int, x1: int, y1: int, size: int = 100) -> np.ndarray:
    """A mask of one filled rectangle on a square canvas."""
    mask = np.zeros((size, size), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.fixture
def grey_photo() -> Photo:
    return Photo(pixels=np.full((100, 100, 3), 128, np.uint8), sha256="0" * 64)


@pytest.fixture(scope="session")
def scene() -> Scene:
    """A scene with several objects."""
    return generate_scene(seed=901, index=1)


@pytest.fixture(scope="session")
def scene_file(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    Image.fromarray(scene.image).save(path)
    return path
