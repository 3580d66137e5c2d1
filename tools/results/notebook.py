"""A result in a notebook, and for the programs that people use there.

```python
shown = Shown(result, read_photo(Path("photo.jpg")))
shown                    # the photo with its masks and a table, in Jupyter
shown.detections()       # supervision.Detections (extra notebook)
```
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from sam3i_agent.core.contracts import SegmentationResult
from sam3i_agent.core.drawing import draw_marks
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo
from sam3i_agent.tools.results.formats.export import Export
from sam3i_agent.tools.results.pictures import OVERLAY_SIDE, png_bytes
from sam3i_agent.tools.results.wording import head_of, place_of, whole_box

if TYPE_CHECKING:
    from supervision import Detections


@dataclass(frozen=True)
class Shown:
    """A result beside its photo."""

    result: SegmentationResult
    photo: Photo
    labels: Sequence[str] = ()
    """What each instance is; none means the instruction."""

    def _repr_png_(self) -> bytes:
        pixels, masks = self.photo.pixels, self.result.masks()
        return png_bytes(draw_marks(pixels, masks, max_side=OVERLAY_SIDE))

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self._repr_png_()).decode()
        names = Export(self.result, self.labels).names
        rows = "".join(
            f"<tr><td>{number}</td><td>{escape(name)}</td><td>{whole_box(one)}</td>"
            f"<td>{place_of(one.box, self.result.image)}</td><td>{one.score:.2f}</td>"
            f"<td>{one.area}</td></tr>"
            for number, (one, name) in enumerate(
                zip(self.result.instances, names, strict=True), start=1
            )
        )
        head = "".join(f"<th>{one}</th>" for one in ("", "what", "box", "place", "score", "pixels"))
        return (
            f"<figure><img src='data:image/png;base64,{picture}' alt='the photo with its instances "
            f"numbered' style='max-width: 100%'><figcaption>{escape(head_of(self.result))}"
            f"</figcaption></figure><table><tr>{head}</tr>{rows}</table>"
        )

    def detections(self) -> "Detections":
        """Return the instances as `supervision` has them.

        `class_id` counts the different names from 0, `data["class_name"]` has them.

        Raises:
            InputError: the extra `notebook` is not installed.
        """
        try:
            from supervision import Detections
        except ImportError as error:
            raise InputError(
                "supervision is not installed", "pip install 'sam3i-agent[notebook]'"
            ) from error
        export = Export(self.result, self.labels)
        categories = export.categories
        found = self.result.instances
        return Detections(
            xyxy=np.array([one.box for one in found], np.float32).reshape(-1, 4),
            mask=np.asarray(self.result.masks()),
            confidence=np.array([one.score for one in found], np.float32),
            class_id=np.array([categories.index(name) for name in export.names], int),
            data={"class_name": np.array(export.names, str)},
        )
