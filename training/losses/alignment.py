"""The four losses that hold the simple and the complex reading of a target together (stage 3).

Shapes: P samples, M the side of the mask grid, C text channels. A is the simple branch, B the
complex one.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cosine_similarity,
    log_softmax,
    normalize,
)

TEMPERATURE = 0.1
"""Of the contrastive loss (official setting)."""
SAME_CONCEPT_WEIGHT = 0.5
"""Weight of other samples of the same concept among a feature's positives (official rho)."""
MARGIN = 0.2
"""Of the concept loss (official setting)."""


class TextProjector(nn.Module):
    """The two-layer perceptron that maps pooled text features into the space of the losses.

    One module serves simple, complex and concept features (the official `simple_query_proj`,
    `complex_query_proj` and `concept_proj` are one); it is not part of the shipped head.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Pool (P, 32, C) text features over all positions, padding included, to (P, C)."""
        return self.layers(tokens.mean(1))


def semantic_kl(a_logits: Tensor, b_logits: Tensor) -> Tensor:
    """Return the symmetric KL divergence between two semantic maps, each against the other fixed.

    Args:
        a_logits: (P, M, M) semantic logits of the simple branch.
        b_logits: the same of the complex branch.

    Returns:
        A scalar, 0 or more, in nats: both directions averaged, then over samples.
    """
    a, b = log_softmax(a_logits.flatten(1), 1), log_softmax(b_logits.flatten(1), 1)
    towards_b = _kl(b.detach(), a)
    towards_a = _kl(a.detach(), b)
    return (towards_a + towards_b).mean() / 2


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) along the last dimension."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def disagreement_segmentation(a_logits: Tensor, b_logits: Tensor, union: Tensor) -> Tensor:
    """Return the cross entropy of both branches where they disagree.

    Args:
        a_logits: (P, M, M) semantic logits of the simple branch.
        b_logits: the same of the complex branch.
        union: (P, M, M) in 0..1, the united target masks.

    Returns:
        A scalar: per-pixel BCE times the detached Jensen-Shannon divergence (nats, 0..ln 2) of the
        branches' foreground probabilities, averaged over pixels, samples and branches.
    """
    weight = bernoulli_js(a_logits, b_logits).detach()
    losses = [
        binary_cross_entropy_with_logits(logits, union, reduction="none")
        for logits in (a_logits, b_logits)
    ]
    return (weight * (losses[0] + losses[1])).mean() / 2


def bernoulli_js(a_logits: Tensor, b_logits: Tensor) -> Tensor:
    """Return the elementwise Jensen-Shannon divergence of two Bernoulli variables, in nats."""
    a, b = a_logits.sigmoid(), b_logits.sigmoid()
    return _entropy((a + b) / 2) - (_entropy(a) + _entropy(b)) / 2


def _entropy(probability: Tensor) -> Tensor:
    other = 1 - probability
    return -(torch.xlogy(probability, probability) + torch.xlogy(other, other))


def info_nce(a: Tensor, b: Tensor, concept_groups: Tensor) -> Tensor:
    """Return the contrastive loss over the 2P features of both branches.

    Args:
        a: (P, C) projected features of the simple branch, any scale.
        b: the same of the complex branch.
        concept_groups: (P,) int64, equal for samples of one concept.

    Returns:
        A scalar: for each feature the mean negative log-softmax of its positives' cosine
        similarities (temperature 0.1, itself left out), where its partner counts 1 and other
        samples of the same concept count 0.5.
    """
    features = normalize(torch.cat([a, b]), dim=1)
    groups = torch.cat([concept_groups, concept_groups])
    count = len(features)
    itself = torch.eye(count, dtype=torch.bool, device=a.device)
    similarity = (features @ features.T / TEMPERATURE).masked_fill(itself, float("-inf"))
    log_share = log_softmax(similarity, dim=1).masked_fill(itself, 0.0)
    positives = SAME_CONCEPT_WEIGHT * (groups[:, None] == groups[None]).to(features.dtype)
    partner = itself.roll(len(a), dims=1)
    positives = positives.masked_fill(partner, 1.0).masked_fill(itself, 0.0)
    return -((positives * log_share).sum(1) / positives.sum(1)).mean()


def concept_margin(a: Tensor, b: Tensor, concepts: Tensor, concept_groups: Tensor) -> Tensor:
    """Return how far each sample falls short of being closer to its concept than to any other.

    Args:
        a: (P, C) projected features of the simple branch.
        b: the same of the complex branch.
        concepts: (P, C) projected features of the samples' noun phrases.
        concept_groups: (P,) int64, equal for samples of one concept.

    Returns:
        A scalar: mean of max(0, 0.2 - cos to the own concept + cos to the most similar other one),
        over samples that have another concept in the batch; 0 where none has.
    """
    middle = (a + b) / 2
    similarity = cosine_similarity(middle[:, None], concepts[None], dim=-1)  # (P, P)
    other = concept_groups[:, None] != concept_groups[None]
    judged = other.any(1)
    if not judged.any():
        return similarity.new_zeros(())
    hardest = similarity.masked_fill(~other, float("-inf")).amax(1)
    return (MARGIN - similarity.diagonal() + hardest)[judged].clamp(min=0).mean()
