"""`python -m sam3i_agent.cli` is the command `sam3i`."""

from sam3i_agent.cli.main import main

main()
