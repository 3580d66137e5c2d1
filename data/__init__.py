"""Datasets: records, their file formats, generated scenes and the texts about them."""
