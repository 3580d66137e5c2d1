"""The training loop: seeded, checkpointed, and resumed exactly after a kill."""

import json
import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import cross_entropy, smooth_l1_loss

from sam3i_agent.segmodel.errors import ModelError
from sam3i_agent.segmodel.instruction_sam3 import InstructionSam3, is_instruction_head_key
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.segmodel.loading import pick_device
from sam3i_agent.segmodel.progress import hide_progress_unless_terminal
from sam3i_agent.training.batches import NO_OBJECT, BatchPlan, ConceptBatch, stream_batches
from sam3i_agent.training.config import LossWeights, TrainConfig
from sam3i_agent.training.forward import DeepPredictions, forward_deep
from sam3i_agent.training.initialisation import initialise
from sam3i_agent.training.losses import dice, generalised_iou, sigmoid_focal, xyxy_of
from sam3i_agent.training.matching import MatchCosts, match
from sam3i_agent.training.model import small_config
from sam3i_agent.training.scenes import Colour, Shape, Texture

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = "checkpoint.pt"
MODEL_FOLDER = "model"
LOG_NAME = "log.jsonl"
POSITIVE_WEIGHT = 10.0
"""Of the class loss, as in the SAM 3 recipe."""
_ATTENTION = "eager"
_LOG_EVERY = 20
_FINAL_RATE = 0.05
"""Of the peak learning rate, at the end."""


class DenseHead(nn.Module):
    """Reads shape, colour, texture and object box off each cell of the finest FPN level.

    It teaches the image side what words will talk about and is dropped from the shipped model.
    """

    LABEL_SIZES = (len(Shape) + 1, len(Colour) + 1, len(Texture) + 1)
    """Each with a last label for background."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(width, 2 * width, 1)
        self.out = nn.Conv2d(2 * width, sum(self.LABEL_SIZES) + 4, 1)

    def loss(self, features: Tensor, batch: ConceptBatch) -> Tensor:
        """Cross entropy of the three labels plus smooth L1 of the box sides, as one scalar."""
        predicted = self.out(torch.relu(self.hidden(features))).float()
        *label_logits, sides = predicted.split([*self.LABEL_SIZES, 4], dim=1)
        total = features.new_zeros(())
        for logits, labels in zip(label_logits, batch.object_labels.unbind(1), strict=True):
            background = logits.shape[1] - 1
            wanted = torch.where(labels == NO_OBJECT, background, labels.long())
            weight = torch.ones(logits.shape[1], device=logits.device)
            weight[background] = 0.25  # most cells are background
            total = total + cross_entropy(logits, wanted, weight)
        inside = (batch.object_labels[:, :1] != NO_OBJECT).expand_as(sides)
        return total + 10 * smooth_l1_loss(sides[inside], batch.object_offsets[inside], beta=0.05)


@dataclass
class TrainState:
    """All that a resumed run needs."""

    model: InstructionSam3
    dense_head: DenseHead
    average: InstructionSam3
    optimizer: torch.optim.Optimizer
    step: int


def train(config: TrainConfig, *, progress: bool = True) -> Path:
    """Run `config` to its end, from its last checkpoint if there is one.

    Returns:
        The folder of the finished model.

    Raises:
        ModelError: the loss became infinite or not a number; the last checkpoint is kept.
    """
    hide_progress_unless_terminal()
    config.output.mkdir(parents=True, exist_ok=True)
    device = pick_device(config.device)
    state = _start(config, device)
    checkpoint = config.output / CHECKPOINT_NAME
    if checkpoint.exists():
        _load(state, checkpoint)
        _trim_log(config.output / LOG_NAME, state.step)
        logger.info("resuming at step %d from %s", state.step, checkpoint)
    # Chance after the start comes from the batch number alone, so that a resumed run repeats it.
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not progress,
    ) as bar:
        task = bar.add_task("training", total=config.steps, completed=state.step)
        for dense, end in ((True, config.dense_steps), (False, config.steps)):
            if state.step >= end:
                continue
            # The two phases have batches of different sizes, so each counts its own.
            first = state.step if dense else state.step - config.dense_steps
            plan = _plan(config, state.model, dense=dense)
            batches = stream_batches(plan, first, config.workers)
            while state.step < end:
                losses = _step(state, config, next(batches).to(device), dense=dense)
                state.step += 1
                bar.update(task, completed=state.step, description=f"loss {losses['total']:.3f}")
                if state.step % _LOG_EVERY == 0:
                    _log(config.output / LOG_NAME, state.step, losses)
                if state.step % config.checkpoint_every == 0 or state.step == config.steps:
                    _save(state, checkpoint)
    folder = config.output / MODEL_FOLDER
    save_half(state.average, folder)
    return folder


def save_half(model: InstructionSam3, folder: Path) -> None:
    """Write `model` as fp16 safetensors and a config, which `from_pretrained` reads."""
    half = InstructionSam3(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(folder)


def _plan(config: TrainConfig, model: InstructionSam3, *, dense: bool) -> BatchPlan:
    sizes: Any = model.config  # transformers' annotations hide what a configuration holds
    return BatchPlan(
        seed=config.seed * 2 + int(dense),
        images=config.dense_images if dense else config.images,
        phrases_per_image=1 if dense else config.phrases_per_image,
        image_size=sizes.image_size,
        mask_size=sizes.vision_config.backbone_feature_sizes[0][0],
        vocabulary_size=sizes.text_config.vocab_size,
        limits=config.scenes,
        level=config.level,
    )


def _start(config: TrainConfig, device: torch.device) -> TrainState:
    torch.manual_seed(config.seed)
    model = _new_model(config) if config.start_from is None else _model_with_new_head(config)
    average = InstructionSam3(model.config)
    average.load_state_dict(model.state_dict())
    detr: Any = model.config.detr_encoder_config
    dense_head = DenseHead(detr.hidden_size)
    trained = [p for p in [*model.parameters(), *dense_head.parameters()] if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {
                "params": [p for p in trained if p.ndim > 1],
                "weight_decay": config.weight_decay,
            },
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(0.9, 0.98),
    )
    for module in (model, average, dense_head):
        module.to(device)  # pyright: ignore[reportArgumentType] (a decorator hides the type)
    return TrainState(model.train(), dense_head, average.eval(), optimizer, 0)


def _new_model(config: TrainConfig) -> InstructionSam3:
    # On the CPU the fused attention's backward pass is twice as slow as plain matrix products.
    model = InstructionSam3._from_config(small_config(config.model), attn_implementation=_ATTENTION)
    initialise(model)
    return model


def _model_with_new_head(config: TrainConfig) -> InstructionSam3:
    """Load the base model, add a head, and freeze all but the parts of the trained level."""
    model = InstructionSam3.from_pretrained(
        config.start_from,
        adapter_dim=config.adapter_dim,
        attn_implementation=_ATTENTION,
        dtype=torch.float32,
    )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_instruction_head_key(name) and f".{config.level}." in name)
    return model


def _step(
    state: TrainState, config: TrainConfig, batch: ConceptBatch, *, dense: bool
) -> dict[str, float]:
    rate = learning_rate_at(state.step, config)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    with torch.autocast(batch.pixel_values.device.type, torch.bfloat16, enabled=config.bf16):
        whole = config.level is InstructionLevel.CONCEPT
        with torch.set_grad_enabled(whole):
            vision = state.model.get_vision_features(batch.pixel_values)
        losses = (
            {"dense": state.dense_head.loss(vision.fpn_hidden_states[0], batch)} if whole else {}
        )
        predictions = None if dense else forward_deep(state.model, vision, batch, config.level)
    if predictions is not None:
        losses |= concept_losses(predictions, batch, config.match_costs)
    total = weighted_sum(losses, config.losses)
    state.optimizer.zero_grad(set_to_none=True)
    total.backward()
    parameters = [*state.model.parameters(), *state.dense_head.parameters()]
    norm = nn.utils.clip_grad_norm_(parameters, config.gradient_clip)
    if not torch.isfinite(norm):
        raise ModelError(
            f"the loss is not finite at step {state.step}: "
            f"{ {name: float(value.detach()) for name, value in losses.items()} }; "
            f"lower learning_rate and start again from the last checkpoint"
        )
    state.optimizer.step()
    _update_average(
        state.average, state.model, min(config.ema_decay, state.step / (state.step + 10))
    )
    report = {name: float(value.detach()) for name, value in losses.items()}
    return {**report, "total": float(total.detach()), "norm": float(norm), "rate": rate}


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then cosine to a twentieth; each phase has its own warm-up."""
    first, last = (
        (0, config.dense_steps) if step < config.dense_steps else (config.dense_steps, config.steps)
    )
    warm = min(1.0, (step - first + 1) / config.warmup_steps)
    if step < config.dense_steps:
        return config.learning_rate * warm
    done = (step - first) / max(1, last - first)
    cosine = _FINAL_RATE + (1 - _FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * warm * cosine


def concept_losses(
    predictions: DeepPredictions, batch: ConceptBatch, costs: MatchCosts
) -> dict[str, Tensor]:
    """Return the unweighted losses, each a scalar averaged over decoder layers."""
    target_counts = batch.target_counts
    instances = max(1, len(batch.masks))
    present = target_counts > 0
    parts: dict[str, list[Tensor]] = {
        name: []
        for name in ("class_focal", "box_l1", "box_giou", "mask_bce", "mask_dice", "presence")
    }
    layers = zip(
        predictions.logits,
        predictions.boxes_cxcywh,
        predictions.mask_logits,
        predictions.presence_logits,
        strict=True,
    )
    for logits, boxes, mask_logits, presence_logits in layers:
        pairs = match(
            logits, boxes, mask_logits, target_counts, batch.boxes_cxcywh, batch.masks, costs
        )
        wanted = torch.zeros_like(logits)
        wanted[pairs.phrases, pairs.queries] = 1
        # The presence token says whether; queries only learn which, where there is something.
        focal = sigmoid_focal(logits, wanted, positive_weight=POSITIVE_WEIGHT)[present]
        matched = boxes[pairs.phrases, pairs.queries]
        masks = mask_logits[pairs.phrases, pairs.queries]
        overlap = generalised_iou(xyxy_of(matched), xyxy_of(batch.boxes_cxcywh))
        parts["class_focal"].append(focal.sum() / instances)
        parts["box_l1"].append((matched - batch.boxes_cxcywh).abs().sum() / instances)
        parts["box_giou"].append((1 - overlap).sum() / instances)
        parts["mask_bce"].append(
            bce(masks, batch.masks, reduction="none").mean((1, 2)).sum() / instances
        )
        parts["mask_dice"].append(dice(masks, batch.masks).sum() / instances)
        parts["presence"].append(bce(presence_logits, present.to(presence_logits.dtype)))
    phrase_of_target = torch.repeat_interleave(
        torch.arange(len(target_counts), device=target_counts.device), target_counts
    )
    union = torch.zeros_like(predictions.semantic_logits).index_add(
        0, phrase_of_target, batch.masks
    )
    semantic = predictions.semantic_logits
    return {
        **{name: torch.stack(values).mean() for name, values in parts.items()},
        "semantic_bce": bce(semantic, union.clamp(max=1)),
        "semantic_dice": dice(semantic[present], union[present].clamp(max=1)).sum()
        / max(1, int(present.sum())),
    }


def weighted_sum(losses: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Return the scalar that is minimised."""
    return torch.stack([getattr(weights, name) * value for name, value in losses.items()]).sum()


@torch.no_grad()
def _update_average(average: InstructionSam3, model: InstructionSam3, decay: float) -> None:
    pairs = zip(average.parameters(), model.parameters(), strict=True)
    for ours, theirs in pairs:
        ours.lerp_(theirs, 1 - decay)


def _save(state: TrainState, path: Path) -> None:
    content = {
        "model": state.model.state_dict(),
        "dense_head": state.dense_head.state_dict(),
        "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "step": state.step,
    }
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)


def _load(state: TrainState, path: Path) -> None:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    state.model.load_state_dict(content["model"])
    state.dense_head.load_state_dict(content["dense_head"])
    state.average.load_state_dict(content["average"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.step = content["step"]


def _trim_log(path: Path, step: int) -> None:
    """Drop what a killed run logged after its last checkpoint: those steps come again."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        path.write_text("".join(kept), encoding="utf-8")


def _log(path: Path, step: int, losses: dict[str, float]) -> None:
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps({"step": step, **{k: round(v, 5) for k, v in losses.items()}}) + "\n")
