"""What other programs call: MCP server, result files, image reading."""
