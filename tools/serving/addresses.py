"""Where a server is reached and what it asks of its clients; light to import."""

PATH = "/mcp"
REQUEST_ID_KEY = "io.github.sam3i-agent/request_id"
"""In `_meta` of every answer."""
TOKEN_VARIABLE = "SAM3I_TOKEN"
"""Names the variable with the token that a server asks for, and that a client shows."""
