"""The model on several replicas, with Ray Serve (extra `serve`); the tools stay in front of them.

A photo goes to the replica that has its features, as far as that one is free: Ray Serve routes by
multiplexed model id, and the photo's hash is that id. What reaches a replica while its model is
busy is answered together (`segmodel.sharing.combining`). A request whose replica dies goes to
another.
"""

import asyncio
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tenacity import (
    Retrying,
    before_sleep_log,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from sam3i_agent.core.errors import InputError, ModelError, Sam3iError
from sam3i_agent.core.instances import ClickMasks, Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Prompt
from sam3i_agent.core.stopping import StoppedError, check_stop
from sam3i_agent.segmodel.segmenter import Box, Segmenter, TokenCounter, Tracker
from sam3i_agent.tools.service import SegmentationService

logger = logging.getLogger(__name__)

APPLICATION = "sam3i"
REQUESTS_PER_REPLICA = 16
"""At a time; more wait in front, where a free replica may take them."""
_PHOTOS_PER_REPLICA = 256
"""Whose home a replica is known to be; its features are bounded in bytes, not by this."""
_RETRY_S = 120
"""How long a request looks for a living replica."""
_PROBE_S = "2"
_POLL_S = 0.5
"""Between looks at whether the caller still waits."""


@dataclass(frozen=True)
class About:
    """What a front end has to know of the model."""

    levels: tuple[InstructionLevel, ...]
    takes_exemplars: bool
    context_length: int
    tokens: TokenCounter


@dataclass(frozen=True)
class ReplicaState:
    """What one replica has done."""

    pid: int
    photos_asked: int
    """Requests about a photo."""
    photos_encoded: int
    """Of these, for which the encoder had to run."""


class Replica:
    """One copy of the model; Ray Serve calls it."""

    def __init__(self, model: ModelChoice) -> None:
        from sam3i_agent.segmodel.checkpoints.loading import load_by_choice
        from sam3i_agent.segmodel.tiling import TilingSegmenter

        self._model = load_by_choice(model)
        self._segmenter = TilingSegmenter(self._model, model.tiling)
        self._threads = ThreadPoolExecutor(REQUESTS_PER_REPLICA)

    def about(self) -> About:
        """Describe the model."""
        model = self._model
        return About(
            model.levels,
            model.takes_exemplars,
            model.context_length,
            model.tokens,
        )

    def state(self) -> ReplicaState:
        """Describe what this replica has done."""
        kept = self._model.work().photos
        return ReplicaState(os.getpid(), kept.hits + kept.misses, kept.misses)

    async def segment(
        self, pixels: NDArray[Any], sha256: str, prompts: Sequence[Prompt]
    ) -> tuple[list[Instances], int] | Sam3iError:
        """Return the instances of each prompt and the passes through the encoder.

        What is wrong with the request comes back as a value: Ray would wrap what is raised.
        """
        await self.feel_at_home(sha256)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._segment, pixels, sha256, prompts)

    async def feel_at_home(self, sha256: str) -> str:
        """Stand for the photo in Ray Serve's routing; wrapped by `serve.multiplexed`."""
        return sha256

    def _segment(
        self, pixels: NDArray[Any], sha256: str, prompts: Sequence[Prompt]
    ) -> tuple[list[Instances], int] | Sam3iError:
        try:
            image = self._segmenter.encode(Photo(pixels, sha256))
            return image.segment(prompts), image.encodings
        except Sam3iError as error:
            return error


class ReplicatedSegmenter:
    """A model on replicas, to be used like one in this process.

    It takes no clicks and follows no clips: both are a conversation with one copy of the model.

    Args:
        handle: of the deployment.
        name: of the model.
    """

    takes_clicks = False
    has_memory = False

    def __init__(self, handle: Any, name: str) -> None:
        self.name = name
        self._handle = handle
        about: About = _wait_for(lambda: handle.about.remote())
        self.levels = about.levels
        self.takes_exemplars = about.takes_exemplars
        self.context_length = about.context_length
        self._tokens = about.tokens

    def count_tokens(self, text: str) -> int:
        """Return the ids that `text` needs."""
        return self._tokens.count_tokens(text)

    def encode(self, photo: Photo, *, keep: bool = True) -> "RemoteImage":
        """Name a photo; a replica encodes it when it is asked about it, and always keeps it."""
        return RemoteImage(self._handle.options(multiplexed_model_id=photo.sha256), photo)

    def click(
        self,
        photo: Photo,
        clicks: Sequence[Click] = (),
        box_xyxy: Box | None = None,
        mask: NDArray[np.bool_] | None = None,
        *,
        several: bool = True,
    ) -> ClickMasks:
        """Refuse: clicks need the model in this process.

        Raises:
            ModelError: always.
        """
        raise ModelError("replicas do not take clicks", "serve without --replicas")

    def follow(self, text: str) -> Tracker:
        """Refuse: a clip needs the model in this process.

        Raises:
            ModelError: always.
        """
        raise ModelError("replicas do not follow clips", "serve without --replicas")


@dataclass
class RemoteImage:
    """One photo on the replicas."""

    handle: Any
    photo: Photo
    encodings: int = 0
    _pixels: Any = field(default=None, init=False, repr=False)
    """In Ray's object store, from where every replica reads them without a copy."""

    def segment(self, prompts: Sequence[Prompt]) -> list[Instances]:
        """Return the instances of each prompt; see `EncodedImage.segment`.

        Raises:
            InputError: the prompts cannot be answered by this model.
            ModelError: no replica answered in time.
            StoppedError: the caller of `stopping.run_in_thread` was cancelled.
        """
        import ray

        if self._pixels is None:
            self._pixels = ray.put(self.photo.pixels)
        answer = _wait_for(
            lambda: self.handle.segment.remote(self._pixels, self.photo.sha256, tuple(prompts))
        )
        if isinstance(answer, Sam3iError):
            raise answer
        found, self.encodings = answer
        return found


def _wait_for(call: Any) -> Any:
    """Return what a call to a replica returns; where its replica dies, call again.

    Args:
        call: sends the request and returns Ray's response.
    """
    from ray.exceptions import RayActorError

    def once() -> Any:
        response = call()
        while True:
            try:
                return response.result(timeout_s=_POLL_S)
            except TimeoutError:
                try:
                    check_stop()
                except StoppedError:
                    response.cancel()
                    raise

    retrying = Retrying(
        retry=retry_if_exception_type(RayActorError),
        wait=wait_random_exponential(0.1, 5),
        stop=stop_after_delay(_RETRY_S),
        before_sleep=before_sleep_log(logger, logging.WARNING),
        reraise=True,
    )
    try:
        return retrying(once)
    except RayActorError as error:
        raise ModelError(f"no replica of the model answers: {error}") from error


class ReplicatedService(SegmentationService):
    """The model on replicas, started at the first call.

    Args:
        model: each replica gets a GPU of its own unless the device is `cpu`.
        replicas: how many.
        max_replicas: so many under load; None keeps their number.
    """

    def __init__(self, model: ModelChoice, replicas: int, max_replicas: int | None) -> None:
        super().__init__(model)
        if max_replicas is not None and max_replicas < replicas:
            raise InputError(f"--max-replicas {max_replicas} is less than --replicas {replicas}")
        self._replicas = replicas
        self._max_replicas = max_replicas
        self._owns_ray = False

    def stop(self) -> None:
        """Let the replicas finish what they do, and end them."""
        if self._segmenter is not None:
            import ray
            from ray import serve

            serve.delete(APPLICATION)
            if self._owns_ray:
                serve.shutdown()
                ray.shutdown()
            self._segmenter = None

    def _load(self) -> Segmenter:
        return ReplicatedSegmenter(self._start(), self.model.name)

    def _start(self) -> Any:
        # A busy replica on few cores answers Ray's probes later than in 0.1 s; read at import.
        os.environ.setdefault("RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S", _PROBE_S)
        try:
            import ray
            from ray import serve
        except ImportError as error:
            raise ModelError(
                "--replicas needs Ray Serve", "install the extra: pip install 'sam3i-agent[serve]'"
            ) from error
        self._owns_ray = not ray.is_initialized()
        if self._owns_ray:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
        serve.start(proxy_location="Disabled")  # clients talk to the tools, not to Ray
        # A subclass here: Ray's decorators need Ray, which most installations do without.
        body: Any = type(
            "Segmentation",
            (Replica,),
            {
                "feel_at_home": serve.multiplexed(max_num_models_per_replica=_PHOTOS_PER_REPLICA)(
                    Replica.feel_at_home
                )
            },
        )
        scaling: dict[str, Any] = {"num_replicas": self._replicas}
        if self._max_replicas is not None:
            scaling = {
                "autoscaling_config": {
                    "min_replicas": self._replicas,
                    "max_replicas": self._max_replicas,
                    "target_ongoing_requests": REQUESTS_PER_REPLICA / 2,
                }
            }
        deployment: Any = serve.deployment(
            body,
            max_ongoing_requests=REQUESTS_PER_REPLICA,
            ray_actor_options={
                # A core each, or its share: more replicas than cores would wait for ever.
                "num_cpus": min(1, _resource("CPU") / (self._max_replicas or self._replicas)),
                "num_gpus": int(self.model.device != "cpu" and _resource("GPU") > 0),
            },
            **scaling,
        )
        app = deployment.bind(self.model)
        try:
            return serve.run(app, name=APPLICATION, route_prefix=None)
        except RuntimeError as error:
            raise ModelError(f"the replicas do not start: {error}") from error


def _resource(name: str) -> float:
    import ray

    return ray.cluster_resources().get(name, 0)
