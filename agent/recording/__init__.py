"""Recorded runs: their folders, their checkpoints, and what other machines find of them."""
