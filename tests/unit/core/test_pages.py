"""What pages are made of."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from recyclenet.core.pages import THUMBNAIL, data_uri


@pytest.mark.parametrize("shape", [(30, 40), (4000, 3000), (1, 5000), (5000, 1)])
def test_thumbnail_is_small_and_a_jpeg(shape):
    uri = data_uri(np.full((*shape, 3), 128, np.uint8))
    content = base64.b64decode(re.sub(r"^data:image/jpeg;base64,", "", uri))
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "JPEG"
        assert max(image.size) <= THUMBNAIL
