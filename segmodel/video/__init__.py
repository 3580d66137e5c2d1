"""Following instances through a clip."""
