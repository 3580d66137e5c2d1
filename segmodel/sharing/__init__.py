"""What requests share: passes through the network, encoded photos and texts."""
