"""Pictures to pixels: PIL's bicubic squash, exact levels, any mode, EXIF only when asked for."""

import io

import numpy as np
import pytest
from PIL import Image

from model_adapters.omnilmm.image_processing import preprocess, squash, to_rgb


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr", "HSV", "LAB"])
def test_every_mode_becomes_what_pil_makes_of_it(mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    image = Image.merge("LAB", image.split()) if mode == "LAB" else image.convert(mode)
    expected = np.asarray(image.convert("RGB").resize((16, 16), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(squash(image, 16), expected)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    np.testing.assert_array_equal(np.asarray(to_rgb(Image.fromarray(values)))[0, :, 0], [0, 1, 128, 255])
    eight_bit = Image.fromarray(np.array([[0, 7, 255]], dtype=np.int32))
    np.testing.assert_array_equal(np.asarray(to_rgb(eight_bit))[0, :, 0], [0, 7, 255])


def test_levels_are_those_of_divide_subtract_divide_in_fp32() -> None:
    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("RGB")
    levels = np.arange(256, dtype=np.float32).reshape(16, 16)
    expected = (levels / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    pixels = preprocess([image, image], 16)
    assert pixels.shape == (2, 3, 16, 16)
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels[1, 2], expected)
    assert (pixels.min(), pixels.max()) == (-1.0, 1.0)


def test_aspect_ratio_is_not_kept() -> None:
    wide = Image.new("RGB", (90, 10), (255, 0, 0))
    assert squash(wide, 32).shape == (32, 32, 3)
    assert (squash(wide, 32) == (255, 0, 0)).all()


def test_exif_orientation_is_applied_only_when_asked_for() -> None:
    image = Image.new("RGB", (8, 8))
    image.paste((255, 255, 255), (0, 0, 8, 4))  # white above black
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    stored = io.BytesIO()
    image.save(stored, "PNG", exif=exif)
    opened = Image.open(stored)
    assert squash(opened, 8)[0].min() == 255
    turned = squash(opened, 8, apply_exif=True)
    assert turned[:, 7].min() == 255
    assert turned[:, 0].max() == 0
