"""What other machines find of a run."""
