"""SAM 3 with an instruction head: the model and its images."""

import os

# Operations that Apple's GPUs lack run on the CPU; torch reads this when it is first imported.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
