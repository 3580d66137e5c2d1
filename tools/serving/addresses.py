"""Where a server is reached and what it asks of its clients; light to import."""

PATH = "/mcp"
TOKEN_VARIABLE = "SAM3I_TOKEN"
"""Names the variable with the token that a server asks for, and that a client shows."""
