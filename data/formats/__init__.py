"""Dataset formats: one module each, told apart by one registry."""
