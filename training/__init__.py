"""Generated scenes, losses and the trainer."""
