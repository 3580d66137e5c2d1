"""The agent and the tools in the forms that LangGraph and LangChain take."""
