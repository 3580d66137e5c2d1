"""SAM 3 with an instruction head: the model and its images."""
