"""One encoding of a photo for all questions about it."""

from sam3i_agent.agent.state import EncodedImageLike, SegmenterLike
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.segmodel.photo import Photo


class SharedEncodings:
    """A segmenter that keeps the last photo's encoding: records about a photo follow each other.

    Args:
        segmenter: the model.
    """

    def __init__(self, segmenter: SegmenterLike) -> None:
        self._segmenter = segmenter
        self._last: tuple[str, EncodedImageLike] | None = None

    @property
    def levels(self) -> tuple[InstructionLevel, ...]:
        """Levels that it can answer."""
        return self._segmenter.levels

    def count_tokens(self, text: str) -> int:
        """Ids that `text` needs."""
        return self._segmenter.count_tokens(text)

    def encode(self, photo: Photo) -> EncodedImageLike:
        """Compute the photo's features, or return those just computed."""
        if self._last is None or self._last[0] != photo.sha256:
            self._last = (photo.sha256, self._segmenter.encode(photo))
        return self._last[1]
