"""Arguments that several tools take: their types, and what a model reads about them."""

from typing import Annotated

from pydantic import Field

from sam3i_agent.core.contracts import MAX_INSTRUCTION_CHARACTERS, LevelChoice, RouteChoice
from sam3i_agent.tools.results.outputs import Include

ImageArgument = Annotated[
    str,
    Field(
        description="The picture: a path on the server's machine, a data URI "
        "(data:image/png;base64,...), an https URL where the server allows it, or the result_id "
        "of an earlier call.",
        min_length=1,
    ),
]
InstructionArgument = Annotated[
    str,
    Field(
        description="What to segment, in English: a noun phrase ('red circle') or an instruction "
        "('the mug left of the laptop', 'all chairs except the broken one').",
        max_length=MAX_INSTRUCTION_CHARACTERS,
    ),
]
RouteArgument = Annotated[
    RouteChoice,
    Field(
        description="auto chooses and is right for most; direct gives the words to the "
        "segmentation model in one pass; agent splits them into noun phrases and filters by "
        "position, size, relation and colour."
    ),
]
LevelArgument = Annotated[
    LevelChoice,
    Field(
        description="How the direct route reads the words; auto decides from the text, joint asks "
        "at all levels and keeps the surest answer."
    ),
]
IncludeArgument = Annotated[
    list[Include],
    Field(
        description="What to send along: overlay (a picture with the instances numbered), masks "
        "(RLE inline), polygons (outlines inline). Masks are always there as resources."
    ),
]
ResultArgument = Annotated[str, Field(description="The result_id of an earlier call.")]
