"""Images that are in memory already."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from bandscope.datasets.base import SourceFacts
from bandscope.datasets.decode import decoding
from bandscope.datasets.fingerprint import fingerprint
from bandscope.datasets.names import class_label, listed
from bandscope.datasets.strings import Strings
from bandscope.errors import DataError, ImageError
from bandscope.labels import ClassLabel

MOST_UNNAMED = 100_000  # classes: a larger label without a name is no class
ALLOWED = (
    "one uint8 array (images, height, width, 3), or (images, height, width) in grey; or a list of PIL images or of "
    "such arrays without the first axis"
)


class ArraySource(SourceFacts):
    """Images in memory with a label each: an `ImageSource`, which `audit` and `train` take as they do a spec.

    Nothing is copied: leave the pixels as they are while the source is in use. What is drawn later, such as a report,
    cannot open these images by itself: give it the same source again.

    Args:
        images: (images, height, width, 3), or (images, height, width) in grey, uint8; or a sequence of PIL images or
            of such arrays, each with a size of its own.
        labels: whole numbers from 0, one an image: positions in `classes`.
        classes: names of the classes, such as "tench" or "n01440764 tench". Without them the classes are "0", "1" ...
            up to the largest label, and stand for the model's outputs. Where there are fewer of them than outputs,
            confirm that with `audit(..., match="index")`.
        paths: by which tables, boxes and comparisons know each image; by default its position.
        spec: what results call the set.

    Raises:
        DataError: images, labels, classes or paths are not such, or do not fit each other.
    """

    def __init__(
        self,
        images: UInt8[np.ndarray, "images h w *c"] | Sequence[Image.Image | UInt8[np.ndarray, "h w *c"]],
        labels: Sequence[int] | Int[np.ndarray, " images"],
        classes: Sequence[str | ClassLabel] | None = None,
        *,
        paths: Sequence[str] | None = None,
        spec: str = "arrays",
    ) -> None:
        _check_images(images)
        self._images = images
        self.spec = spec
        self.labels = _labels(labels, len(images))
        self.classes = _classes(classes, self.labels)
        self.paths = Strings(_paths(paths, len(images)))

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, position: int) -> Image.Image:
        """The image at `position`, at its own resolution and in its own mode."""
        image = self._images[range(len(self))[position]]
        if not isinstance(image, Image.Image):
            return Image.fromarray(image.squeeze(2) if image.shape[2:] == (1,) else image)
        with decoding():
            image.load()
        return image

    def fingerprint(self) -> str:
        """A hash of classes, labels, paths and every pixel."""
        return fingerprint(self.classes, self.labels, self._contents())

    def _contents(self) -> Iterator[bytes]:
        for position, path in enumerate(self.paths):
            try:
                image = self[position]
            except ImageError as error:
                yield f"{path}\0{error}\n".encode()
            else:
                yield repr((path, image.mode, image.size, image.getpalette())).encode()
                yield image.tobytes()


def _check_images(images: Any) -> None:
    """Of an array a look at the first image is enough."""
    if not isinstance(images, np.ndarray | Sequence) or isinstance(images, str) or not getattr(images, "ndim", 1):
        raise DataError(f"Images are given as {type(images).__name__}; allowed: {ALLOWED}.{_hint(images)}")
    if not len(images):
        raise DataError("No images are given; at least one is needed.")
    alike = isinstance(images, np.ndarray) and images.dtype != object
    for position, image in enumerate(images[:1] if alike else images):
        if not isinstance(image, Image.Image) and (fault := _fault(image)):
            which = "Images are" if alike else f"Image {position} is"
            raise DataError(f"{which} {fault}; allowed: {ALLOWED}.{_hint(image)}")


def _fault(image: Any) -> str:
    if not isinstance(image, np.ndarray):
        return f"of type {type(image).__name__}"
    if image.dtype != np.uint8:
        return f"of dtype {image.dtype}"
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3)):
        return ""
    return f"of shape {image.shape}"


def _hint(given: Any) -> str:
    """How to get there from what PyTorch and Matplotlib have."""
    if hasattr(given, "permute"):
        return " Of a tensor (images, 3, height, width) give images.permute(0, 2, 3, 1).numpy()."
    if not isinstance(given, np.ndarray):
        return ""
    if given.dtype.kind == "f":
        return " Values in [0, 1] become such by (255 * images).round().astype(np.uint8)."
    return " Channels come last: np.moveaxis(images, 1, -1)." if given.ndim == 3 and len(given) in (1, 3) else ""


def _labels(given: Any, images: int) -> Int[np.ndarray, " images"]:
    labels = np.asarray(given)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"Labels are of dtype {labels.dtype} and shape {labels.shape}; allowed: a whole number for each image."
        )
    if len(labels) != images:
        raise DataError(f"There are {images} images but {len(labels)} labels.")
    return labels.astype(np.int64)


def _classes(given: Sequence[str | ClassLabel] | None, labels: Int[np.ndarray, " images"]) -> tuple[ClassLabel, ...]:
    most = MOST_UNNAMED if given is None else len(given)
    if outside := [str(label) for label in np.unique(labels) if not 0 <= label < most]:
        marked = " (-1 is how unlabelled images are marked)" if "-1" in outside else ""
        raise DataError(f"Labels {listed(outside)} are outside the classes, 0 to {most - 1}{marked}.")
    names = map(str, range(labels.max() + 1)) if given is None else given
    return tuple(name if isinstance(name, ClassLabel) else class_label(name) for name in names)


def _paths(given: Sequence[str] | None, images: int) -> Sequence[str]:
    paths = [*map(str, range(images) if given is None else given)]
    if len(paths) != images:
        raise DataError(f"There are {images} images but {len(paths)} paths.")
    if twice := [path for path, times in Counter(paths).items() if times > 1]:
        raise DataError(f"The paths {listed(twice)} stand for several images; each needs one of its own.")
    return paths
