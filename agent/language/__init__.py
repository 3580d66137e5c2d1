"""The language side of the agent: what it is asked, and who answers."""
