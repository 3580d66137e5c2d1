"""The network: SAM 3 with adapters that the instruction level switches."""
