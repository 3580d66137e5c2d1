"""The routing graph, its nodes and the offline planner."""
