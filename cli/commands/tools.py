"""`sam3i tools`: the tools for other protocols."""

import asyncio
import json

import typer

tools_app = typer.Typer(help="The tools, for other protocols.", no_args_is_help=True)


@tools_app.command("openai")
def openai_tools() -> None:
    """Print the tools as OpenAI function schemas, for assistants without MCP."""
    from sam3i_agent.tools.mcp.openai_schema import function_schemas
    from sam3i_agent.tools.mcp.server import build_server
    from sam3i_agent.tools.serving.building import build_toolbox, service_of
    from sam3i_agent.tools.serving.settings import ServeSettings

    settings = ServeSettings()
    server = build_server(build_toolbox(settings, service_of(settings)))
    typer.echo(json.dumps(asyncio.run(function_schemas(server)), indent=2))
