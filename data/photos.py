"""The photos of a dataset, checked against what it says of them."""

from pathlib import Path

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo, read_photo


def read_dataset_photo(images: Path, file_name: str, size_hw: tuple[int, int]) -> Photo:
    """Read a photo whose size the dataset knows.

    Args:
        images: folder of the dataset's photos.
        file_name: relative to it.
        size_hw: height and width that the dataset says, in pixels.

    Raises:
        InputError: it cannot be read, or has another size: its masks would be of other places.
    """
    photo = read_photo(images / file_name)
    if photo.size_hw != size_hw:
        raise InputError(
            f"the photo {file_name!r} is {photo.size_hw[1]}x{photo.size_hw[0]} pixels, the "
            f"dataset says {size_hw[1]}x{size_hw[0]}"
        )
    return photo
