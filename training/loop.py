"""The training loop: seeded, checkpointed, resumed exactly after a kill, on one process or many.

Distribution is Hugging Face Accelerate's: `accelerate launch -m sam3i_agent.cli train CONFIG` on
any number of GPUs and machines, `torchrun -m sam3i_agent.cli train CONFIG` on CPUs (Accelerate's
own launcher needs MPI there). Each process takes every N-th batch of the one series.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor

from sam3i_agent.core.claimed_folder import claim_folder
from sam3i_agent.core.errors import ModelError
from sam3i_agent.data.formats.dataset_format import LevelOf
from sam3i_agent.segmodel.checkpoints.loading import pick_device
from sam3i_agent.segmodel.checkpoints.repository import base_model_of
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.progress import hide_progress_unless_terminal
from sam3i_agent.training.batches import BatchPlan, TrainingBatch, stream_batches
from sam3i_agent.training.checkpoints import (
    CHECKPOINT_NAME,
    MODEL_FOLDER,
    load_checkpoint,
    save_checkpoint,
    save_half,
    save_half_apart,
    save_half_head,
)
from sam3i_agent.training.config import DataPart, LossWeights, TrainConfig
from sam3i_agent.training.log import TrainingLog
from sam3i_agent.training.pictures import MixedSource, PictureSource, RecordSource, SceneSource
from sam3i_agent.training.state import TrainState, start_state

logger = logging.getLogger(__name__)

_FINAL_RATE = 0.05
"""Of the peak learning rate, at the end."""


@dataclass(frozen=True)
class DryRun:
    """What a run would do, found out by one step that is thrown away."""

    trained_parameters: int
    frozen_parameters: int
    samples: int
    """In the first batch."""
    losses: dict[str, float]
    device: str


def train(config: TrainConfig, *, progress: bool = True, level_of: LevelOf | None = None) -> Path:
    """Run `config` to its end, from its last checkpoint if there is one.

    Args:
        config: what to do.
        progress: show a bar with the time left on standard error.
        level_of: reads the level of texts that do not say it, which plain folders may have.

    Returns:
        The folder of the finished model, or of the finished head where the stage leaves the base
        alone.

    Raises:
        InputError: the dataset or the device cannot be used, or OUTPUT holds a run of other
            settings.
        ModelError: the loss became infinite or not a number (the last checkpoint is kept), or the
            model to start from cannot be loaded.
        StorageError: OUTPUT cannot be written, or its log is damaged.
    """
    hide_progress_unless_terminal()
    accelerator = _accelerator(config)
    # Every process claims, so that none waits for one that was refused.
    claim_folder(config.output, config.deciding_settings(), "set another output")
    state = start_state(config, accelerator.device)
    checkpoint = config.output / CHECKPOINT_NAME
    if checkpoint.exists():
        state.restore(load_checkpoint(checkpoint, accelerator.device))
        logger.info("resuming at step %d from %s", state.step, checkpoint)
    accelerator.wait_for_everyone()
    with TrainingLog(
        config.output,
        step=state.step,
        steps=config.steps,
        tells=accelerator.is_main_process,
        progress=progress,
    ) as log:
        _run(state, config, accelerator, log, level_of)
    folder = config.output / MODEL_FOLDER
    if accelerator.is_main_process:
        state.objective.model.load_state_dict(state.average, strict=False)
        if config.stage.trains_head:
            save_half_head(state.objective.model, folder, base_model_of(config.start_from or ""))
        elif config.stage.has_head:
            save_half_apart(state.objective.model, folder)
        else:
            save_half(state.objective.model, folder)
    accelerator.wait_for_everyone()
    return folder


def dry_run(config: TrainConfig, *, level_of: LevelOf | None = None) -> DryRun:
    """Load everything, run one batch forward and backward, and write nothing.

    Args:
        config: what to try.
        level_of: as `train` takes it.

    Raises:
        InputError: as `train`.
        ModelError: as `train`.
    """
    hide_progress_unless_terminal()
    accelerator = _accelerator(config)
    state = start_state(config, accelerator.device)
    dense = config.dense_steps > 0
    plan = _plan(config, state.objective.model, level_of, dense=dense)
    batch = next(stream_batches(plan, 0, workers=0)).to(accelerator.device)
    losses = state.objective(batch, dense_only=dense)
    total = weighted_sum(losses, config.losses)
    total.backward()
    trained = sum(value.numel() for value in state.trained().values())
    everything = sum(value.numel() for value in state.objective.parameters())
    return DryRun(
        trained_parameters=trained,
        frozen_parameters=everything - trained,
        samples=len(batch.target_counts),
        losses={name: float(value.detach()) for name, value in losses.items()},
        device=str(accelerator.device),
    )


def _run(
    state: TrainState,
    config: TrainConfig,
    accelerator: Accelerator,
    log: TrainingLog,
    level_of: LevelOf | None,
) -> None:
    objective = accelerator.prepare_model(state.objective)
    processes = accelerator.num_processes
    # Chance after the start comes from the batch number alone, so that a resumed run repeats it.
    for dense, end in ((True, config.dense_steps), (False, config.steps)):
        if state.step >= end:
            continue
        # The two phases have batches of different sizes, so each counts its own.
        done = state.step if dense else state.step - config.dense_steps
        batches = stream_batches(
            _plan(config, state.objective.model, level_of, dense=dense),
            done * config.accumulate * processes + accelerator.process_index,
            processes,
            workers=config.workers,
        )
        while state.step < end:
            values = _step(state, objective, config, accelerator, batches, dense=dense)
            state.step += 1
            log.record(state.step, values)
            due = state.step % config.checkpoint_every == 0 or state.step == config.steps
            if due and accelerator.is_main_process:
                save_checkpoint(state.content(), config.output / CHECKPOINT_NAME)


def _step(
    state: TrainState,
    objective: torch.nn.Module,
    config: TrainConfig,
    accelerator: Accelerator,
    batches: Iterator[TrainingBatch],
    *,
    dense: bool,
) -> dict[str, float]:
    rate = learning_rate_at(state.step, config)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
    state.optimizer.zero_grad(set_to_none=True)
    sums: dict[str, Tensor] = {}
    for micro in range(config.accumulate):
        batch = next(batches).to(accelerator.device)
        last = micro == config.accumulate - 1
        with nullcontext() if last else accelerator.no_sync(objective):
            losses = objective(batch, dense_only=dense)
            total = weighted_sum(losses, config.losses)
            accelerator.backward(total / config.accumulate)
        for name, value in {**losses, "total": total}.items():
            sums[name] = sums.get(name, 0) + value.detach() / config.accumulate
    norm = torch.nn.utils.clip_grad_norm_(state.trained().values(), config.gradient_clip)
    # All at once: each number that is read from a GPU waits for it.
    means: Any = accelerator.reduce(torch.stack([*sums.values(), norm]), "mean")
    report = dict(zip([*sums, "norm"], means.tolist(), strict=True))
    if not math.isfinite(report["norm"]):
        raise ModelError(
            f"the loss is not finite at step {state.step}: {report}",
            "lower learning_rate and start again from the last checkpoint",
        )
    state.optimizer.step()
    state.update_average(min(config.ema_decay, state.step / (state.step + 10)))
    return {**report, "rate": rate}


def weighted_sum(losses: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Return the scalar that is minimised."""
    return torch.stack([getattr(weights, name) * value for name, value in losses.items()]).sum()


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then the schedule; each phase has its own warm-up."""
    first, last = (
        (0, config.dense_steps) if step < config.dense_steps else (config.dense_steps, config.steps)
    )
    warm = min(1.0, (step - first + 1) / config.warmup_steps)
    if step < config.dense_steps:
        return config.learning_rate * warm
    if config.schedule == "inverse_square_root":
        # As InverseSquareRootParamScheduler in sam3/train/optim/schedulers.py of SAM3-I, but that
        # it counts from 0: the first step there moves nothing.
        shift = config.schedule_timescale - config.warmup_steps
        beyond = step - first + 1
        fall = math.sqrt(max(1.0, (beyond + shift) / config.schedule_timescale))
        left = min(1.0, (last - step) / config.cooldown_steps) if config.cooldown_steps else 1.0
        return config.learning_rate * warm * left / (fall if beyond > config.warmup_steps else 1.0)
    done = (step - first) / max(1, last - first)
    cosine = _FINAL_RATE + (1 - _FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * warm * cosine


def _accelerator(config: TrainConfig) -> Accelerator:
    return Accelerator(
        # Accelerate joins processes on CPUs only where it is told that they are meant.
        cpu=pick_device(config.device).type == "cpu",
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def _plan(
    config: TrainConfig, model: InstructionSam3, level_of: LevelOf | None, *, dense: bool
) -> BatchPlan:
    sizes: Any = model.config  # transformers' annotations hide what a configuration holds
    samples = 1 if dense else config.samples_per_image
    images = config.dense_images if dense else config.images
    source: PictureSource
    if config.data is None:
        source = SceneSource(
            seed=config.seed * 2 + int(dense),
            stage=config.stage,
            samples_per_picture=samples,
            limits=config.scenes,
            everyday_share=config.everyday_share,
            turns=config.turns,
            images=images,
            favoured=config.favoured,
        )
    else:
        parts = (DataPart(path=config.data),) if isinstance(config.data, Path) else config.data
        sources = [
            RecordSource(
                part.path,
                config.stage,
                images=part.images,
                seed=config.seed,
                samples_per_picture=samples,
                max_instances=sizes.detr_decoder_config.num_queries,
                level_of=level_of,
            )
            for part in parts
        ]
        weights = [part.weight or float(len(one)) for part, one in zip(parts, sources, strict=True)]
        source = sources[0] if len(sources) == 1 else MixedSource(sources, weights, config.seed)
    return plan_of(model, source, images)


def plan_of(model: InstructionSam3, source: PictureSource, images: int) -> BatchPlan:
    """Return what a batch for `model` holds: `images` pictures of `source` in its sizes."""
    sizes: Any = model.config  # transformers' annotations hide what a configuration holds
    return BatchPlan(
        source=source,
        images=images,
        image_size=sizes.image_size,
        mask_size=sizes.vision_config.backbone_feature_sizes[0][0],
        vocabulary_size=sizes.text_config.vocab_size,
        context_length=sizes.text_config.max_position_embeddings,
    )
