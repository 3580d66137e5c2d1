"""The Ray cluster that this process gives work to (extra `ray`)."""

import logging
import os

from sam3i_agent.core.errors import ModelError

RAY_ADDRESS = "RAY_ADDRESS"
"""Names a cluster, as Ray reads it itself."""


def start_ray() -> None:
    """Join the cluster that `RAY_ADDRESS` names, or start one on this machine.

    Raises:
        ModelError: the cluster is not there, or does not let this process in.
    """
    import ray
    from ray.exceptions import AuthenticationError

    # Not one that somebody else has started on this machine, which Ray would join by itself.
    address = os.environ.get(RAY_ADDRESS) or "local"
    try:
        ray.init(
            address, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING
        )
    except (ConnectionError, AuthenticationError) as error:
        raise ModelError(
            f"the Ray cluster at {address} cannot be joined: {error}",
            "one that asks for a token wants RAY_AUTH_MODE=token here, and the token",
        ) from error
