"""What `sam3i serve` serves, as one value that travels to front ends on other machines."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.storage.blobs import MEMORY
from sam3i_agent.tools.results.limits import DEFAULT_PICTURE_KB
from sam3i_agent.tools.serving.access.limits import NO_LIMITS, UserLimits
from sam3i_agent.tools.serving.logs import LogFormat, log_as_json


class ServeSettings(Frozen):
    """The settings of a server; also the arguments of an application in `deploy/serve.yaml`."""

    model: ModelChoice = ModelChoice()
    language: LanguageChoice | None = None
    """The agent's language model; None takes the offline planner."""
    client_model: bool = False
    """Let the agent ask the model of the client that calls."""
    roots: tuple[Path, ...] = ()
    """Folders that pictures may come from; none allows all that the server can read."""
    allow_urls: bool = False
    """Fetch pictures from public https URLs."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    allow_hosts: tuple[str, ...] = ()
    """Further names under which clients reach it."""
    allow_origins: tuple[str, ...] = ()
    """Web pages that may call it."""
    playground: bool = False
    """Show the view to browsers at `/`."""
    tools: tuple[str, ...] = ()
    """To offer; none means all."""
    max_picture_kb: int = DEFAULT_PICTURE_KB
    store: str = MEMORY
    """URL of the results' store."""
    store_hours: Annotated[float, Field(gt=0)] = 24
    store_gb: Annotated[float, Field(gt=0)] = 20
    user_gb: Annotated[float, Field(gt=0)] | None = None
    auth_issuer: str | None = None
    auth_audience: str | None = None
    limits: UserLimits = NO_LIMITS
    call_seconds: Annotated[float, Field(gt=0)] = 900
    """After which a call is given up."""
    replicas: Annotated[int, Field(ge=1)] | None = None
    """Of the model; None keeps it in the server's process."""
    max_replicas: Annotated[int, Field(ge=1)] | None = None
    scale_up_s: Annotated[float, Field(gt=0)] = 10
    """Of too many requests per replica, after which there is another one."""
    scale_down_s: Annotated[float, Field(gt=0)] = 300
    """Of too few, after which there is one less."""
    max_surge_percent: Annotated[int, Field(ge=0, le=100)] = 1
    """Of the replicas, rounded up, which an update of the model starts before old ones stop; where
    no GPU is to spare, 0 stops the old ones first."""
    join: bool = False
    """Use the replicas that run on the Ray cluster already."""
    log_format: LogFormat = LogFormat.TEXT
    verbose: bool = False
    """Log all that is worth knowing, not warnings alone."""
    front_ends: Annotated[int, Field(ge=1)] | None = None
    """Processes of the tools, on Ray; None serves from this one."""

    @model_validator(mode="after")
    def _check_replicas(self) -> "ServeSettings":
        most = self.max_replicas
        if most is not None and self.replicas is not None and most < self.replicas:
            raise InputError(f"--max-replicas {most} is less than --replicas {self.replicas}")
        return self

    def watch(self, part: str) -> None:
        """Let this process log and trace as the settings say.

        Args:
            part: of the service that it is, such as replica.

        Raises:
            InputError: what the variables OTEL_* ask for is not installed.
        """
        from sam3i_agent.tools.serving.tracing import set_up_tracing

        if self.log_format is LogFormat.JSON:
            log_as_json(self.verbose)
        set_up_tracing(part)
