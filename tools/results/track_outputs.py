"""What tracking writes, light to import."""

from sam3i_agent.core.contracts import CompressedMask, Frozen

FRAMES_NAME = "tracks.jsonl"
SUMMARY_NAME = "summary.json"
OVERLAY_NAME = "overlay.mp4"


class TrackedInstance(Frozen):
    """One track in one frame."""

    track: int
    box: tuple[float, float, float, float]
    score: float
    mask: CompressedMask


class TrackedFrame(Frozen):
    """One line of `tracks.jsonl`."""

    frame: int
    time_s: float
    instances: list[TrackedInstance]


class TrackSummary(Frozen):
    """One track through the clip."""

    track: int
    first_frame: int
    last_frame: int
    frames: int
    mean_score: float


class ClipSummary(Frozen):
    """What a clip shows."""

    text: str
    """The noun phrase that every frame was asked for."""
    frames: int
    tracks: list[TrackSummary]
    """Those that are kept, in the order of their numbers."""
    left_out: int
    """Tracks of the noun phrase that the instruction does not mean."""
