"""OWLv2's scores on the scale of SAM 3's: what one would take for found has more than 0.5.

OWLv2 ranks well, but what it finds has scores of 0.1 to 0.4. Its logit is shifted by the logit of
the score from which its answers are worth having, so that this score becomes 0.5 and the order
stays. The two thresholds are those of its authors' and of transformers' examples; nobody has
measured here how often an answer of 0.7 is right.
"""

import math

from torch import Tensor

TEXT_THRESHOLD = 0.2
"""Of OWLv2's score for a text, from which an answer is worth having."""
EXAMPLE_THRESHOLD = 0.9
"""Of its score for the look of an example; likeness of two crops is far higher than of a word."""


def calibrated(logits: Tensor, threshold: float) -> Tensor:
    """Return scores 0..1 in fp32 of which 0.5 is what `threshold` was.

    Args:
        logits: of OWLv2, of any shape.
        threshold: a score 0..1 of the uncalibrated model.
    """
    return (logits.float() - math.log(threshold / (1 - threshold))).sigmoid()
