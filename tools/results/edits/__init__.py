"""Photos changed by the masks of a result."""
