"""The page itself, built from `src/` by `make view` into one file without network."""

from importlib.resources import files

VIEW_URI = "ui://sam3i/view.html"
VIEW_META = {"ui": {"resourceUri": VIEW_URI}}
"""Of a tool whose answers the view shows."""
DATA_NAME = "view.json"
"""Of the resource that it draws."""
PAGE_NAME = "view.html"


def page() -> str:
    """Return the page as HTML."""
    return files("sam3i_agent.tools.mcp.view").joinpath(PAGE_NAME).read_text("utf-8")
