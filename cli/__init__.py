"""The command `sam3i`."""
