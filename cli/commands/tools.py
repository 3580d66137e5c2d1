"""`sam3i tools`: the tools for other protocols."""

import asyncio
import json

import typer

from sam3i_agent.core.model_choice import ModelChoice

tools_app = typer.Typer(help="The tools, for other protocols.", no_args_is_help=True)


@tools_app.command("openai")
def openai_tools() -> None:
    """Print the tools as OpenAI function schemas, for assistants without MCP."""
    from sam3i_agent.cli.toolbox import build_toolbox, service_of
    from sam3i_agent.tools.mcp.openai_schema import function_schemas
    from sam3i_agent.tools.mcp.server import build_server

    server = build_server(build_toolbox([], False, service_of(ModelChoice()), None))
    typer.echo(json.dumps(asyncio.run(function_schemas(server)), indent=2))
