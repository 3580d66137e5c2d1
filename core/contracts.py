"""What goes in and what comes out: one request and one result from end to end.

`SegmentationResult` is what `result.json`, `--json` and the MCP tool return.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.prompt import Exemplar

MAX_INSTRUCTION_CHARACTERS = 2_000
"""Longer texts are refused: no model here reads them."""


class Route(StrEnum):
    """Which pipeline answers."""

    DIRECT = "direct"
    """The instruction goes to the model as it is, in one pass."""
    AGENT = "agent"
    """Noun phrases are segmented, filtered and tried again until they fit."""
    AGENT_PLAN = "agent-plan"
    """One question plans, in words; geometry carries the plan out."""
    AGENT_TOOLS = "agent-tools"
    """One conversation, in which a language model calls the segmenter as a tool."""

    @property
    def by_agent(self) -> bool:
        """Whether a language side has a say."""
        return self is not Route.DIRECT


class RouteChoice(StrEnum):
    """What a caller may ask for: a route, or `auto`."""

    AUTO = "auto"
    DIRECT = Route.DIRECT
    AGENT = Route.AGENT
    AGENT_PLAN = Route.AGENT_PLAN
    AGENT_TOOLS = Route.AGENT_TOOLS

    @property
    def by_agent(self) -> bool:
        """Whether the agent answers in any case, in one of its ways."""
        return self not in (RouteChoice.AUTO, RouteChoice.DIRECT)


class LevelChoice(StrEnum):
    """How the direct route reads the words: at one level, or one of two ways of choosing it."""

    AUTO = "auto"
    """From the words alone, before the model runs (`agent.instructions.classify_level`)."""
    JOINT = "joint"
    """All levels in one batch; the one that is surest of its answer wins (`agent.routing`)."""
    CONCEPT = InstructionLevel.CONCEPT
    SIMPLE = InstructionLevel.SIMPLE
    COMPLEX = InstructionLevel.COMPLEX


class RunStatus(StrEnum):
    """How a run ended."""

    SELECTED = "selected"
    NO_TARGET = "no_target"
    BUDGET_EXHAUSTED = "budget_exhausted"
    FAILED = "failed"


class Frozen(BaseModel):
    """A value that does not change and has no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Budgets(Frozen):
    """Limits of one run; reaching one ends it as `budget_exhausted` with the best result so far."""

    max_rounds: Annotated[int, Field(ge=1, le=100)] = 3
    """Rounds of the agent route, each with new noun phrases."""
    max_mllm_calls: Annotated[int, Field(ge=0, le=10_000)] = 60
    """Requests to the language model, retries and corrections included."""
    max_tokens: Annotated[int, Field(ge=0)] = 400_000
    """Of all requests and replies, as the server counts them."""
    max_pictures: Annotated[int, Field(ge=0)] | None = None
    """Sent to the language model, each as often as it was sent; None: what goes with the calls."""
    max_seconds: Annotated[float, Field(gt=0)] = 300.0
    """Wall time, from the start of the run or of its resumption."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    """Requests to the language model at one time."""


class TextKind(StrEnum):
    """What tells the target of an instruction apart, by its words alone."""

    NAME = "name"
    """Nothing but its noun phrase."""
    ORDER = "order"
    SIZE = "size"
    RELATION = "relation"
    POSITION = "position"
    EXCEPTION = "exception"
    REASONING = "reasoning"
    """What rules cannot read."""


class RoutingPolicy(Frozen):
    """When the auto route leaves the direct answer for the agent.

    The defaults are those that measured best on generated scenes (docs/agent.md).
    """

    min_presence: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A direct answer less sure than this that its target is there is not trusted."""
    min_reasoning_presence: Annotated[float, Field(ge=0, le=1)] = 0.9
    """The same for instructions that take reasoning (the offline planner cannot read them), where a
    language model could check."""
    min_agreement: Annotated[float, Field(ge=0, le=1)] = 0.8
    """IoU of the united masks at which two levels of the head still agree."""
    trusted_presence: Annotated[float, Field(ge=0, le=1)] = 0.9
    """A direct answer this sure stands where rules find nothing."""
    agent_kinds: frozenset[TextKind] = frozenset(TextKind) - {TextKind.NAME}
    """Of texts that the agent answers in any case, if its language side reads them: it measured
    better there, but for size by two points (`sam3i bench routing`)."""
    check_levels: bool = True
    """Ask at the other instruction level too, in the same batch, and compare."""


DEFAULT_BUDGETS = Budgets()
DEFAULT_POLICY = RoutingPolicy()


class SegmentRequest(Frozen):
    """One instruction about one photo."""

    image_sha256: str
    instruction: Annotated[str, Field(max_length=MAX_INSTRUCTION_CHARACTERS)]
    """Empty where the example boxes say it all."""
    exemplars: tuple[Exemplar, ...] = ()
    """Boxes around examples and counterexamples; with any, the direct route answers."""
    route: RouteChoice = RouteChoice.AUTO
    level: LevelChoice = LevelChoice.AUTO
    use_head: bool = True
    """Let the direct answer of an instruction head be a candidate of the agent."""
    max_instances: Annotated[int, Field(ge=1)] | None = None
    """Keep at most so many, best first; None keeps all."""
    budgets: Budgets = DEFAULT_BUDGETS
    policy: RoutingPolicy = DEFAULT_POLICY

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.instruction and not self.exemplars:
            raise ValueError("a request needs an instruction or an example box")
        return self


class ImageInfo(Frozen):
    """The photo, upright."""

    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    sha256: str
    """Of the file's bytes."""
    name: str = ""
    """Of the file, without folders; empty where it has none."""


class CompressedMask(Frozen):
    """COCO compressed run-length encoding."""

    size: tuple[int, int]
    """Height, width."""
    counts: str


class InstanceResult(Frozen):
    """One object."""

    mask: CompressedMask
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels of the upright photo."""
    score: Annotated[float, Field(ge=0, le=1)]
    area: Annotated[int, Field(ge=0)]
    """Pixels of the mask."""


class Usage(Frozen):
    """What a run cost."""

    seconds: float = 0.0
    image_encodings: int = 0
    prompts: int = 0
    """Texts that the segmentation model answered."""
    mllm_calls: int = 0
    """Requests to a language model, retries and corrections included."""
    tokens: int = 0
    """Of the language model, as its server counts them."""
    pictures: int = 0
    """Sent to the language model, each as often as it was sent."""
    rounds: int = 0
    """Of the agent route."""

    def __add__(self, other: "Usage") -> "Usage":
        """Return what both cost together."""
        names = type(self).model_fields
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in names})


class WeightsFile(Frozen):
    """A file of weights that a model was loaded from."""

    model: str
    """Hub id, or the name of its folder or file."""
    name: str
    """Of the file, without folders."""
    sha256: str


class Provenance(Frozen):
    """What a result was made by."""

    version: str
    """Of this package."""
    weights: tuple[WeightsFile, ...]
    """None where the segmenter has no files."""


class SegmentationResult(Frozen):
    """The answer to a `SegmentRequest`."""

    image: ImageInfo
    instruction: str
    route: Route
    level: InstructionLevel
    """The level of the direct route; the agent's phrases are always concepts."""
    status: RunStatus
    presence: Annotated[float, Field(ge=0, le=1)]
    """Probability that what the instruction asks for is in the photo."""
    count: Annotated[int, Field(ge=0)]
    """Instances found: the answer to "how many", and whether it is 0 to "is there"."""
    instances: tuple[InstanceResult, ...]
    """At most as many as were asked for, best first."""
    trace: tuple[str, ...]
    """One readable line per step."""
    usage: Usage
    warnings: tuple[str, ...]
    run_id: str | None = None
    """Names the run for `--resume` and `sam3i runs show`; None where it was not recorded."""
    provenance: Provenance | None = None
    """None in results of earlier versions."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.count < len(self.instances):
            raise ValueError(
                f"{len(self.instances)} instances are more than the count {self.count}"
            )
        if self.status is RunStatus.SELECTED and not self.instances:
            raise ValueError("a result without instances cannot be `selected`")
        if self.status is RunStatus.NO_TARGET and self.instances:
            raise ValueError("a result with instances cannot be `no_target`")
        return self

    def masks(self) -> Masks:
        """Return the masks of the instances, in their order."""
        size = (self.image.height, self.image.width)
        return Masks(size, (one.mask.counts for one in self.instances))


class PictureText(Frozen):
    """What is asked about one picture of many."""

    instruction: Annotated[str, Field(max_length=MAX_INSTRUCTION_CHARACTERS)]
    level: LevelChoice = LevelChoice.AUTO
    """How the direct route reads the words."""


class PictureAnswer(Frozen):
    """What became of one picture of many: a line of a folder's `results.jsonl`."""

    file: str
    """Relative to the folder of the pictures, with slashes."""
    texts: tuple[PictureText, ...]
    results: tuple[SegmentationResult, ...] = ()
    """One per text; none where the picture could not be read."""
    problem: str = ""
    """Why it could not be read; empty where it was."""

    @model_validator(mode="after")
    def _has_a_result_per_text(self) -> Self:
        if len(self.results) != (0 if self.problem else len(self.texts)):
            raise ValueError(f"{len(self.texts)} texts have {len(self.results)} results")
        return self
