"""What training minimises, and how queries and targets are matched."""
