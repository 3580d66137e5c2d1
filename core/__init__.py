"""Values that every room shares; no torch, nothing of the other packages."""
