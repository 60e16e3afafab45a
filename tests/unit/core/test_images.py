"""Whatever kind of picture a person hands over, the model is given what the person sees."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from recyclenet.core.images import decode_image
from recyclenet.core.preprocess import Preprocess

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
METHOD = Image.Transpose
# How a camera stores an upright scene under each EXIF orientation.
STORED = {
    2: METHOD.FLIP_LEFT_RIGHT,
    3: METHOD.ROTATE_180,
    4: METHOD.FLIP_TOP_BOTTOM,
    5: METHOD.TRANSPOSE,
    6: METHOD.ROTATE_90,
    7: METHOD.TRANSVERSE,
    8: METHOD.ROTATE_270,
}


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def scene() -> Image.Image:
    """Return a 64x32 picture, each quarter in a colour of its own."""
    image = Image.new("RGB", (64, 32), RED)
    image.paste(GREEN, (32, 0, 64, 16))
    image.paste(BLUE, (0, 16, 32, 32))
    image.paste(WHITE, (32, 16, 64, 32))
    return image


def noisy(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a photo-like picture: soft shapes with some grain."""
    generator = np.random.default_rng(seed)
    soft = Image.fromarray(generator.integers(0, 256, (7, 9, 3), np.uint8))
    image = np.asarray(soft.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    grain = generator.integers(-8, 9, image.shape)
    return Image.fromarray((image + grain).clip(0, 255).astype(np.uint8))


def assert_scene(image: np.ndarray) -> None:
    assert image.shape == (32, 64, 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    for (row, column), expected in {
        (4, 8): RED,
        (4, 56): GREEN,
        (28, 8): BLUE,
        (28, 56): WHITE,
    }.items():
        assert np.abs(image[row, column].astype(int) - expected).max() < 16, (row, column)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("AVIF", {"quality": 95, "subsampling": "4:4:4"}),
    ],
)
def test_photo_stands_upright(orientation, kind, options, tmp_path):
    stored = scene()
    if orientation in STORED:
        stored = stored.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encoded(stored, kind, exif=exif, **options)
    assert_scene(decode_image(content))
    path = tmp_path / "photo"
    path.write_bytes(content)
    assert_scene(decode_image(path))
    assert_scene(decode_image(Image.open(io.BytesIO(content))))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_orientation_that_means_nothing_is_ignored(value):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    assert_scene(decode_image(encoded(scene(), "JPEG", exif=exif, quality=95, subsampling=0)))


def test_broken_exif_does_not_spoil_a_photo():
    content = encoded(scene(), "JPEG", exif=b"Exif\0\0MM\0*garbage", quality=95, subsampling=0)
    assert_scene(decode_image(content))


def two_tone(mode: str, left: object, right: object, **info: object) -> Image.Image:
    image = Image.new(mode, (8, 8), left)
    image.paste(right, (4, 0, 8, 8))
    image.info.update(info)
    return image


def palette(**info: object) -> Image.Image:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([*RED, *BLUE])
    image.paste(1, (4, 0, 8, 8))
    image.info.update(info)
    return image


@pytest.mark.parametrize(
    ("image", "kind", "left", "right"),
    [
        (two_tone("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), "TIFF", RED, BLACK),
        (two_tone("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), "JPEG", RED, BLACK),
        (two_tone("L", 0, 128), "JPEG", BLACK, (128,) * 3),
        (two_tone("L", 0, 128), "PNG", BLACK, (128,) * 3),
        (two_tone("1", 0, 1), "PNG", BLACK, WHITE),
        (two_tone("RGBA", (255, 0, 0, 255), (9, 9, 9, 0)), "PNG", RED, WHITE),
        (two_tone("RGBA", (0, 0, 0, 128), (0, 0, 255, 255)), "PNG", (127,) * 3, BLUE),
        (two_tone("RGBA", (255, 0, 0, 255), (9, 9, 9, 0)), "TIFF", RED, WHITE),
        (two_tone("LA", (0, 255), (0, 0)), "PNG", BLACK, WHITE),
        (two_tone("RGB", RED, BLUE, transparency=BLUE), "PNG", RED, WHITE),
        (two_tone("L", 0, 77, transparency=77), "PNG", BLACK, WHITE),
        (palette(), "PNG", RED, BLUE),
        (palette(transparency=1), "PNG", RED, WHITE),
        (palette(transparency=bytes([255, 0])), "PNG", RED, WHITE),
        (palette(transparency=1), "GIF", RED, WHITE),
        (two_tone("YCbCr", (76, 85, 255), (29, 255, 107)), "TIFF", RED, BLUE),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_each_colour_mode(image, kind, left, right):
    transparency = image.info.get("transparency")
    options = {} if transparency is None else {"transparency": transparency}
    if kind == "JPEG":
        options |= {"quality": 100, "subsampling": 0}
    decoded = decode_image(encoded(image.resize((64, 64), 0), kind, **options))
    assert decoded.shape == (64, 64, 3)
    assert np.abs(decoded[32, 8].astype(int) - left).max() <= 4
    assert np.abs(decoded[32, 56].astype(int) - right).max() <= 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_range(kind):
    values = np.array([[0, 256, 32_768, 65_535]], np.uint16)
    decoded = decode_image(encoded(Image.fromarray(values), kind))
    assert decoded[0, :, 0].tolist() == [0, 0, 127, 255]
    assert (decoded == decoded[..., :1]).all()


def test_16_bit_big_endian_and_32_bit_grey():
    values = np.array([[0, 65_535]], np.uint16)
    image = Image.frombytes("I;16B", (2, 1), values.astype(">u2").tobytes())
    assert decode_image(image)[0, :, 0].tolist() == [0, 255]
    image = Image.fromarray(np.array([[-5, 65_535, 2**31 - 1]], np.int32))
    assert decode_image(encoded(image, "TIFF"))[0, :, 0].tolist() == [0, 255, 255]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_several(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    others = [Image.new("RGB", (16, 16), colour) for colour in (GREEN, BLUE)]
    content = encoded(
        Image.new("RGB", (16, 16), RED), kind, save_all=True, append_images=others, **options
    )
    assert Image.open(io.BytesIO(content)).n_frames == 3
    assert (decode_image(content) == RED).all()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("AVIF", {"quality": 90}), ("WEBP", {"quality": 90}), ("BMP", {}), ("PPM", {}), ("MPO", {})],
)
def test_modern_and_old_formats(kind, options):
    image = noisy(80, 60)
    decoded = decode_image(encoded(image, kind, **options)).astype(int)
    assert np.abs(decoded - np.asarray(image)).mean() < 6


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(1, 1), (33, 47), (160, 120)])
def test_fast_jpeg_path_gives_pillows_very_pixels(subsampling, progressive, mode, size):
    content = encoded(
        noisy(*size).convert(mode), "JPEG", quality=80, subsampling=subsampling,
        progressive=progressive,
    )  # fmt: skip
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(decode_image(content), expected)


@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    min_side=st.integers(0, 800),
    orientation=st.sampled_from([1, 6]),
)
def test_min_side_is_kept_and_so_is_the_shape(width, height, min_side, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encoded(Image.new("RGB", (width, height), RED), "JPEG", exif=exif)
    if orientation == 6:
        width, height = height, width
    rows, columns, _ = decode_image(content, min_side=min_side).shape
    assert min(rows, columns) >= min(min_side, width, height)
    assert rows <= height
    assert columns <= width
    # The decoder shrinks by eighths and rounds up to whole pixels.
    assert abs(columns * height - rows * width) <= max(width, height)


def test_reduced_decode_is_smaller_and_looks_the_same():
    content = encoded(noisy(1200, 900), "JPEG", quality=90)
    preprocess = Preprocess(image_size=112)
    full, reduced = decode_image(content), decode_image(content, min_side=preprocess.min_side)
    assert reduced.shape[0] < full.shape[0] / 2
    gap = preprocess.resize(full).astype(int) - preprocess.resize(reduced)
    assert np.abs(gap).mean() < 1
    assert np.abs(gap).max() < 12


def test_min_side_leaves_other_formats_whole():
    assert decode_image(encoded(scene(), "PNG"), min_side=4).shape == (32, 64, 3)


def test_path_bytes_picture_and_array_agree(tmp_path):
    content = encoded(noisy(50, 40), "PNG")
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    expected = np.asarray(noisy(50, 40))
    for source in (
        path,
        str(path),
        content,
        bytearray(content),
        memoryview(content),
        Image.open(io.BytesIO(content)),
        expected,
        np.asfortranarray(expected),
    ):
        decoded = decode_image(source)
        np.testing.assert_array_equal(decoded, expected)
        assert decoded.flags.c_contiguous


def test_grey_and_rgba_arrays():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(decode_image(grey), np.stack([grey] * 3, axis=-1))
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, :, 3] = 255
    assert decode_image(rgba)[:, 0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_a_name_says_nothing_about_the_content(tmp_path):
    path = tmp_path / "really a png.jpg"
    path.write_bytes(encoded(scene(), "PNG"))
    assert_scene(decode_image(path))


def test_the_users_file_and_picture_stay_as_they_are(tmp_path):
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path.write_bytes(encoded(scene(), "JPEG", exif=exif))
    before = path.read_bytes(), path.stat().st_mtime_ns
    picture = two_tone("RGBA", (1, 2, 3, 4), (5, 6, 7, 8))
    pixels = picture.tobytes()
    decode_image(path, min_side=8)
    decode_image(picture)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert (picture.mode, picture.tobytes()) == ("RGBA", pixels)


def test_threads_get_what_one_alone_gets(messy_folder):
    paths = sorted((messy_folder / "good").iterdir())
    expected = {path: decode_image(path, min_side=32) for path in paths}
    with ThreadPoolExecutor(8) as pool:
        again = pool.map(lambda path: decode_image(path, min_side=32), paths * 6)
        for path, decoded in zip(paths * 6, again, strict=True):
            np.testing.assert_array_equal(decoded, expected[path])


@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_is_read_where_its_library_is_installed(orientation, tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = scene().transpose(STORED[orientation]) if orientation in STORED else scene()
    path = tmp_path / "phone.heic"
    stored.save(path, "HEIF", quality=95, exif=exif.tobytes())
    assert_scene(decode_image(path))
