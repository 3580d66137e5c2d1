"""Results in the formats of other tools, a module each, and the registry of them."""
