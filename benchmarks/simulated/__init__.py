"""Measurements with a simulated language model."""
