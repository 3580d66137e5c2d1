"""Serving over HTTP: probes, metrics and replicas of the model."""
