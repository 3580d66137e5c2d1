"""Measurements of speed, as ratios or differences within one run."""
