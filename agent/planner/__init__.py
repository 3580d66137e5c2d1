"""The offline planner: rules for English, geometry and colours."""
