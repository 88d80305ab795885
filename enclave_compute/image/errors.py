"""What can keep an image from being built, each with the next step."""

from __future__ import annotations

from protos.formats.errors import ConcordatError


class ImageBuildError(ConcordatError):
    """An input of the image is missing or is not what it should be."""

    code = "image/build"
