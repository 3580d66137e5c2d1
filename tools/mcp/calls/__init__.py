"""The tools of the MCP server, a module each."""
