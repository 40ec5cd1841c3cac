import io
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile
from small_images import encoded, pixels

from bandscope.datasets.decode import decode
from bandscope.errors import ImageError, InputError

WHOLE = pixels(0, (41, 37))
FORMATS = {
    "jpeg": encoded(WHOLE, "JPEG"),
    "progressive": encoded(WHOLE, "JPEG", progressive=True),
    "png": encoded(WHOLE, "PNG"),
    "gif": encoded(WHOLE, "GIF"),
    "bmp": encoded(WHOLE, "BMP"),
    "tiff": encoded(WHOLE, "TIFF"),
    "webp": encoded(WHOLE, "WEBP", lossless=True),
    "ppm": encoded(WHOLE, "PPM"),
}
formats = pytest.mark.parametrize("kind", FORMATS)


@formats
def test_decoded_image_is_what_pillow_gives_and_is_independent_of_its_file(kind, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(FORMATS[kind])
    ours = decode(path)
    path.unlink()
    expected = Image.open(io.BytesIO(FORMATS[kind]))
    assert (ours.mode, ours.size) == (expected.mode, expected.size)
    for image in (ours, pickle.loads(pickle.dumps(ours)), decode(FORMATS[kind])):
        np.testing.assert_array_equal(image.convert("RGB"), expected.convert("RGB"))
        assert image.resize((5, 4)).size == (5, 4)


@formats
@pytest.mark.filterwarnings("ignore")  # Pillow's own remarks on what it reads
@given(data=st.data())
@settings(max_examples=40)
def test_a_truncated_file_is_never_half_an_image(kind, data):
    whole = FORMATS[kind]
    cut = data.draw(st.integers(0, len(whole) - 1))
    try:
        image = decode(whole[:cut])
    except ImageError:
        return
    assert image.tobytes() == decode(whole).tobytes()  # only an end marker or padding was cut


@formats
@pytest.mark.filterwarnings("ignore")
@given(flips=st.dictionaries(st.integers(0, 300), st.integers(0, 255), min_size=1, max_size=6))
@settings(max_examples=60)
def test_a_corrupt_file_is_an_image_or_an_image_error(kind, flips):
    data = bytearray(FORMATS[kind])
    for at, value in flips.items():
        data[at] = value
    try:
        decode(bytes(data)).convert("RGB")
    except ImageError as error:
        reason = str(error)
    else:
        reason = "none"
    assert 0 < len(reason) <= 100
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "zero bytes"),
        (b"<html>not found</html>", "not an image"),
        (FORMATS["jpeg"][: len(FORMATS["jpeg"]) // 2], "truncated"),
        (FORMATS["png"][: len(FORMATS["png"]) // 2], "truncated"),
    ],
)
def test_reasons(data, reason, tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(data)
    for file in (data, path):
        with pytest.raises(ImageError, match=reason):
            decode(file)


def test_missing_files_and_folders_are_image_errors(tmp_path):
    with pytest.raises(ImageError, match="No such file"):
        decode(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="directory"):
        decode(tmp_path)


def test_decompression_bomb(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 41 * 37 // 2 - 1)
    with pytest.raises(ImageError, match="decompression bomb"):
        decode(FORMATS["png"])


def test_half_images_are_refused_however_pillow_is_set(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(InputError, match="LOAD_TRUNCATED_IMAGES"):
        decode(FORMATS["jpeg"])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_animation_gives_its_first_frame(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = encoded(
        frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )
    assert Image.open(io.BytesIO(data)).n_frames == 3
    np.testing.assert_array_equal(decode(data).convert("RGB"), frames[0])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_mode_is_kept(mode):
    image = Image.new(mode, (4, 3))
    assert decode(encoded(image)).mode == Image.open(io.BytesIO(encoded(image))).mode
