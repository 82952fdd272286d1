"""
Images that are made up: colours that blend into each other, as data URLs.

Rule: this is the only module that knows Pillow. The bytes depend on the random numbers, and on the versions of Pillow and of the
libraries it was built with; a plan's hash says so when they differ.
"""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from pytest_inferbench.cases.case import Images

_PATCHES = 8
_JPEG_QUALITY = 90


def data_url(images: Images, rng: np.random.Generator) -> str:
    """
    One image of the size and format asked for.

    A few random patches of colour, blended: no two images are alike, and yet a file is small. (Noise does not compress: 12 MB
    for 2048 x 2048 pixels in every request would measure the network.)
    """
    patches = rng.integers(0, 256, size=(_PATCHES, _PATCHES, 3), dtype=np.uint8)
    image = Image.fromarray(patches).resize((images.width, images.height), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    if images.format == "jpeg":
        image.save(file, "JPEG", quality=_JPEG_QUALITY)
    else:
        image.save(file, "PNG", compress_level=1)
    return f"data:image/{images.format};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
