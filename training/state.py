"""What a run trains, and its state between two steps: where it starts, what a checkpoint holds."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sam3i_agent.segmodel.checkpoints.loading import AttentionImplementation, load_model
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3, is_instruction_head_key
from sam3i_agent.training.config import TrainConfig
from sam3i_agent.training.initialisation import at_image_size, initialise
from sam3i_agent.training.objective import Objective
from sam3i_agent.training.stages import Stage

_MODEL_PREFIX = "model."
_TEXT_PREFIX = "model.text_encoder."


@dataclass
class TrainState:
    """All that a resumed run needs, on one process."""

    objective: Objective
    average: dict[str, Tensor]
    """Averaged values of the model's trained weights, by name in the model."""
    optimizer: torch.optim.Optimizer
    step: int

    def trained(self) -> dict[str, Tensor]:
        """Return all trained weights, of the model and the auxiliary heads, by name."""
        named = self.objective.named_parameters()
        return {name: value for name, value in named if value.requires_grad}

    def content(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {
            "trained": {name: value.detach() for name, value in self.trained().items()},
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }

    @torch.no_grad()
    def restore(self, content: dict[str, Any]) -> None:
        """Take over what a checkpoint holds."""
        for name, value in self.trained().items():
            value.copy_(content["trained"][name])
        for name, value in self.average.items():
            value.copy_(content["average"][name])
        self.optimizer.load_state_dict(content["optimizer"])
        self.step = content["step"]

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the averaged weights towards the trained ones, by 1 - `decay` of the way."""
        parameters = dict(self.objective.model.named_parameters())
        trained: list[Tensor] = [parameters[name] for name in self.average]
        get_ema_multi_avg_fn(decay)(list(self.average.values()), trained, self.step)


def start_state(config: TrainConfig, device: torch.device) -> TrainState:
    """Return the state before the first step.

    Raises:
        InputError: the model takes no pictures of the size that is wanted.
        ModelError: the model to start from cannot be loaded.
    """
    torch.manual_seed(config.seed)
    # On the CPU the fused attention's backward pass is twice as slow as plain matrix products; on
    # MPS nobody has measured.
    model = _start_model(config, "eager" if device.type == "cpu" else "sdpa")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(config.stage.trains(name))
    objective = Objective(model, config).to(device).train()
    trained = {name: one for name, one in objective.named_parameters() if one.requires_grad}
    groups = _parameter_groups(trained, config)
    optimizer = torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=(0.9, config.adam_beta2),
        fused=device.type == "cuda",
    )
    average = {
        name: one.detach().clone() for name, one in model.named_parameters() if one.requires_grad
    }
    return TrainState(objective, average, optimizer, 0)


def _parameter_groups(
    trained: dict[str, torch.nn.Parameter], config: TrainConfig
) -> list[dict[str, Any]]:
    """Sort the trained weights by weight decay and by their rate relative to the schedule's."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, one in trained.items():
        decay = config.weight_decay if one.ndim > 1 else 0.0
        factor = config.text_rate_factor if name.startswith(_TEXT_PREFIX) else 1.0
        if is_instruction_head_key(name.removeprefix(_MODEL_PREFIX)):
            factor *= config.head_rate_factor
        groups.setdefault((decay, factor), []).append(one)
    return [
        {"params": some, "weight_decay": decay, "rate_factor": factor}
        for (decay, factor), some in groups.items()
    ]


def _start_model(config: TrainConfig, attention: AttentionImplementation) -> InstructionSam3:
    if config.start_from is None:
        model = InstructionSam3._from_config(
            config.model.configuration(), attn_implementation=attention
        )
        initialise(model)
        if config.stage.has_head:
            model = model.with_fresh_head(config.adapter_dim, config.adapter_heads)
        return model
    model = load_model(
        config.start_from, attention, with_head=config.stage is not Stage.EXEMPLARS
    ).float()
    if config.image_size is not None:
        model = at_image_size(model, config.image_size, config.window_size)
    model.config.takes_exemplars |= Stage.EXEMPLARS in (config.stage, *config.turns)
    if config.stage.has_head and not model.config.has_instruction_head:
        model = model.with_fresh_head(config.adapter_dim, config.adapter_heads)
    if config.complex_from_simple:
        model.copy_simple_to_complex()
    return model
