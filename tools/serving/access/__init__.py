"""Who may call over HTTP, and how much."""
