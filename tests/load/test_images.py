"""Images are of the size and format asked for, and no two are alike."""

from __future__ import annotations

import base64
import io
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pytest_inferbench.cases.case import Images
from pytest_inferbench.load.images import data_url

Format = Literal["png", "jpeg"]


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2], validate=True)))


@settings(max_examples=25, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 300), form=st.sampled_from(["png", "jpeg"]))
def test_an_image_has_its_size_and_format(width: int, height: int, form: Format) -> None:
    url = data_url(Images(width=width, height=height, format=form), np.random.default_rng(0))
    assert url.startswith(f"data:image/{form};base64,")
    image = opened(url)
    image.load()
    assert (image.size, image.mode, image.format) == ((width, height), "RGB", form.upper())


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_the_same_random_numbers_make_the_same_bytes_and_others_do_not(form: Format) -> None:
    images = Images(width=64, height=48, format=form)
    assert data_url(images, np.random.default_rng(1)) == data_url(images, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    assert len({data_url(images, rng) for _ in range(50)}) == 50


def test_an_image_has_many_colours_and_a_large_one_is_a_small_file() -> None:
    url = data_url(Images(width=1024, height=1024), np.random.default_rng(0))
    colours = opened(url).getcolors(maxcolors=1024 * 1024)
    assert colours is not None
    assert len(colours) > 10_000
    # A megapixel of noise has 3 MB.
    assert len(url) < 1_500_000
