"""The Ray cluster that this process gives work to (extra `ray`)."""

import logging
import os

RAY_ADDRESS = "RAY_ADDRESS"
"""Names a cluster, as Ray reads it itself."""


def start_ray() -> None:
    """Join the cluster that `RAY_ADDRESS` names, or start one on this machine."""
    import ray

    # Not one that somebody else has started on this machine, which Ray would join by itself.
    address = os.environ.get(RAY_ADDRESS) or "local"
    ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
