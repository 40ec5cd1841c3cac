"""Strange files through a whole audit: each counts with the right pixels or says why not; no other image notices."""

import io
import os
import re
import resource
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from disturbed import bits, finish
from PIL import Image

import bandscope as bs
from bandscope.cube.verify import verify

SIDE = 40  # of every ordinary image and of the crop: what the network sees are the source's pixels
EXACT = bs.Preprocess(size=(SIDE, SIDE), resize=None, mean=(0.0,) * 3, std=(1.0,) * 3)
Files = dict[str, bytes]
Numbers = dict[str, dict[str, np.ndarray]]
rng = np.random.default_rng(0)


def noise(*channels: int, high: int = 256, dtype=np.uint8) -> np.ndarray:
    return rng.integers(0, high, (SIDE, SIDE, *channels), dtype=dtype)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: Callable[[int], bytes]) -> bytes:
    """A PNG made by hand, row by row: what Pillow cannot write, or what would fill the memory."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(b"\0" + rows(y)) for y in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def huge_jpeg() -> bytes:
    """A small JPEG whose header says 20,000 x 20,000."""
    data = bytearray(encoded(noise(3), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 20_000, 20_000)
    return bytes(data)


def palette(transparency: int | bytes) -> bytes:
    image = Image.fromarray(noise(3)).quantize(16)
    return encoded(image, transparency=transparency)


def animated(kind: str, **options: object) -> bytes:
    first, *others = (Image.fromarray(noise(3)) for _ in range(3))
    return encoded(first, kind, save_all=True, append_images=others, **options)


RGB16, GREY16 = noise(3, high=65536, dtype=np.uint16), noise(high=65536, dtype=np.uint16)
PHOTO, PLAIN = encoded(noise(3), "JPEG", quality=90), encoded(noise(3))

# Files that count.
OK: Files = {
    "photo.jpg": PHOTO,
    "progressive.jpg": encoded(noise(3), "JPEG", progressive=True),
    "grey.jpg": encoded(noise(), "JPEG"),
    "cmyk.jpg": encoded(Image.fromarray(noise(3)).convert("CMYK"), "JPEG"),
    "grey16.png": encoded(GREY16),
    "rgb16.png": png(SIDE, SIDE, 16, 2, lambda y: RGB16[y].astype(">u2").tobytes()),
    "bits.png": encoded(Image.fromarray(noise()).convert("1")),
    "alpha.png": encoded(noise(4)),
    "grey-alpha.png": encoded(Image.fromarray(noise(4)).convert("LA")),
    "palette.png": encoded(Image.fromarray(noise(3)).quantize(16)),
    "palette-one-transparent.png": palette(3),
    "palette-all-transparent.png": palette(bytes(range(0, 160, 10))),
    "animated.gif": animated("GIF"),
    "animated.webp": animated("WEBP", lossless=True),
    "animated.apng": animated("PNG"),
    "one.png": encoded(np.array([[[200, 100, 50]]], dtype=np.uint8)),
    "png-inside.jpg": PLAIN,
    "two-images.jpg": encoded(noise(3), "MPO", save_all=True, append_images=[Image.fromarray(noise(3))]),
}

# Files that do not, and what is said of them.
BAD: dict[str, tuple[bytes, str]] = {
    "truncated.jpg": (PHOTO[: len(PHOTO) // 2], r"corrupt: truncated"),
    "truncated.png": (PLAIN[: len(PLAIN) // 2], r"corrupt: truncated"),
    "flipped.png": (PLAIN[:200] + bytes([PLAIN[200] ^ 255]) + PLAIN[201:], r"corrupt: broken: "),
    "header.png": (PLAIN[:20], r"corrupt: (truncated|broken: .+|not an image that Pillow can read)"),
    "empty.jpg": (b"", r"corrupt: zero bytes"),
    "text.jpg": (b"Not a picture but a poem.\n" * 9, r"corrupt: not an image that Pillow can read"),
    "page.png": (b"<html><body>404</body></html>", r"corrupt: not an image that Pillow can read"),
    "drawing.jpg": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\nshowpage\n%%EOF\n",
        r"corrupt: a drawing \(EPS\), not pixels",
    ),
    "float.tif": (encoded(rng.random((SIDE, SIDE), dtype=np.float32), "TIFF"), r"corrupt: floating-point pixels"),
    "huge.png": (png(20_000, 20_000, 1, 0, lambda _: bytes(2500)), r"corrupt: decompression bomb: more pixels than"),
    "huge.jpg": (huge_jpeg(), r"corrupt: decompression bomb: more pixels than"),
}


def write(root: Path, files: Files) -> Path:
    """Files in three class folders in turn, each name with a number before it."""
    for i, (name, data) in enumerate(files.items()):
        folder = root / "abc"[i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return root


class Seer:
    """A classifier of three classes that keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[torch.Tensor] = []

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        self.shown.append(batch.clone())
        means = batch.mean((2, 3))
        return torch.stack([means[:, 0], 2 * means[:, 1], batch.std((1, 2, 3))], 1) * 10


def audited(root: Path, images: int, **options: object) -> tuple[Numbers, dict[str, np.ndarray]]:
    """By file name: its numbers and status; and the pixels that the classifier saw, unfiltered."""
    seer = Seer()
    cube = bs.audit(
        seer,
        f"folder:{root}",
        preprocess=EXACT,
        match="index",
        probes=(bs.LowPass((3,)), bs.HighPass((3,))),
        batch_size=1,
        threads=1,
        **options,
    )
    names = [Path(str(source)).name for source in cube["source"].values]
    assert len(names) == images
    numbers = {
        name: {
            f"{node.path}/{key}": np.asarray(variable.values[i])
            for node in cube.subtree
            for key, variable in node.to_dataset(inherit=False).data_vars.items()
            if variable.dims[0] == "image" and key not in ("source", "label")
        }
        for i, name in enumerate(names)
    }
    clean = seer.shown[-3 * images :: 3]  # one image a batch; unfiltered, low-pass, high-pass
    pixels = [(255 * batch[0]).round().byte().permute(1, 2, 0).numpy() for batch in clean]
    return numbers, dict(zip(names, pixels, strict=True))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The good files, audited without the bad ones."""
    return audited(write(tmp_path_factory.mktemp("good"), OK), len(OK))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """All files, and what is no file."""
    root = write(tmp_path_factory.mktemp("all"), OK)
    write(root, {name: data for name, (data, _) in BAD.items()})
    (root / "a" / "folder.jpg").mkdir()
    (root / "b" / "gone.jpg").symlink_to("nowhere.jpg")
    (root / "b" / "circle.png").symlink_to("circle.png")
    os.mkfifo(root / "c" / "pipe.jpg")
    return root


@pytest.fixture(scope="module")
def together(folder):
    """All of them, audited."""
    return audited(folder, len(OK) + len(BAD) + 2)


def rgb(data: bytes) -> np.ndarray:
    """Pillow's own conversion of the first frame."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


EXPECTED = dict.fromkeys(OK, rgb) | {
    "grey16.png": lambda _: np.repeat(np.round(GREY16 / 257).astype(np.uint8)[..., None], 3, axis=2),
    "rgb16.png": lambda _: (RGB16 >> 8).astype(np.uint8),
    "one.png": lambda data: np.pad(rgb(data), ((19, 20), (19, 20), (0, 0))),  # in the middle of black
}


@pytest.mark.parametrize("name", OK)
def test_the_network_sees_pillows_pixels(together, name):
    numbers, seen = together
    assert numbers[name]["//status"] == "ok"
    np.testing.assert_array_equal(seen[name], EXPECTED[name](OK[name]))
    assert len(np.unique(seen[name])) > 1


@pytest.mark.parametrize("name", [*BAD, "gone.jpg", "circle.png"])
def test_what_cannot_be_read_says_why(together, name):
    gone = {"gone.jpg": "No such file or directory", "circle.png": "Too many levels of symbolic links"}
    status = str(together[0][name]["//status"])
    pattern = BAD[name][1] if name in BAD else f"corrupt: cannot be read: {gone[name]}"
    assert re.match(pattern, status), status
    assert len(status) < 130
    assert "\n" not in status
    for key, value in together[0][name].items():
        if key != "//status":
            assert np.isnan(value).all() if value.dtype.kind == "f" else (value == -1).all(), key


@pytest.mark.parametrize("name", OK)
def test_others_do_not_notice(together, alone, name):
    for key, value in alone[0][name].items():
        assert bits(together[0][name][key]) == bits(value), key


def test_the_store_is_whole(folder, tmp_path):
    audited(folder, len(OK) + len(BAD) + 2, out=tmp_path / "a.zarr")
    assert verify(tmp_path / "a.zarr") == []


def growth(root: Path, said: Path) -> None:
    """By how much the peak memory of a process grows over an audit of huge files, in MB."""
    small = write(root / "small", {"a.png": PLAIN, "b.png": PLAIN, "c.png": PLAIN})
    audited(small, 3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    audited(root / "huge", 12)
    said.write_text(str((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10))


def test_huge_images_do_not_blow_up_the_memory(tmp_path):
    """Decoded, each would be of 0.4 to 1.6 GB."""
    write(tmp_path / "huge", {f"{i}-{name}": BAD[name][0] for i in range(6) for name in ("huge.png", "huge.jpg")})
    assert finish(growth, tmp_path, tmp_path / "grown") == 0
    assert float((tmp_path / "grown").read_text()) < 100
