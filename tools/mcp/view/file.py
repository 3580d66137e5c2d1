"""A result as one HTML file, to look at without a server."""

import base64
import json

from sam3i_agent.core.contracts import SegmentationResult
from sam3i_agent.core.photo import Photo
from sam3i_agent.tools.mcp.view.data import view_data
from sam3i_agent.tools.mcp.view.page import DATA_NAME, page
from sam3i_agent.tools.results.formats.registry import TEXT_FORMATS
from sam3i_agent.tools.results.pictures import PICTURE_MIME, photo_jpeg
from sam3i_agent.tools.results.store import ResultStore

_PHOTO_BYTES = 4_000_000
"""Of the photo in base64."""
_SAVED = ("coco.json", "svg")
"""Formats that the page saves."""
_APP = '<div id="app"></div>'


def page_of(result: SegmentationResult, photo: Photo) -> str:
    """Return the view of a result, with all that it shows and saves inside."""
    stored = ResultStore().add(result, photo)
    data = view_data(stored, takes_boxes=False, takes_points=False)
    picture = base64.b64encode(photo_jpeg(stored, _PHOTO_BYTES)).decode()
    resources = {name: {"text": TEXT_FORMATS[name][1](stored.export)} for name in _SAVED}
    resources[DATA_NAME] = {"text": data.model_dump_json()}
    resources["photo.jpg"] = {"blob": picture, "mimeType": PICTURE_MIME}
    embedded = json.dumps({"result_id": stored.id, "resources": resources})
    # A text in the result cannot end the element that holds it.
    safe = embedded.replace("<", "\\u003c")
    return page().replace(
        _APP, f'<script type="application/json" id="result">{safe}</script>\n{_APP}', 1
    )
