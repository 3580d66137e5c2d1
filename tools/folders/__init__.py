"""Many pictures in one run: found, answered, kept, exported and shown on one page."""
