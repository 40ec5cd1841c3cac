"""Augmentation against torchvision's definitions: the boxes by their distributions, the cuts by their pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest, chisquare, ks_2samp
from tiny_networks import Squares
from torchvision.transforms import InterpolationMode, RandomResizedCrop, functional

from bandscope.datasets.planted import Planted
from bandscope.errors import InputError
from bandscope.training import draws
from bandscope.training.augment import COLUMNS, Augment, pad_crop_boxes, resized_crop_boxes, settled_flip
from bandscope.training.recipe import Recipe

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
DRAWN = 3000


def cuts(augment: Augment, size: tuple[int, int], count: int = DRAWN, seed: int = 0):
    return augment.cuts(np.tile(size, (count, 1)), draws.uniforms(count, COLUMNS, seed))


def applied(augment: Augment, images: np.ndarray, boxes, flips) -> np.ndarray:
    made = augment.apply(torch.from_numpy(images), torch.as_tensor(np.array(boxes)), torch.as_tensor(np.array(flips)))
    return made.numpy()


# --- resized crops --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 64), (48, 96), (20, 100)])
def test_boxes_are_distributed_as_torchvision_s(size):
    ours = resized_crop_boxes(np.tile(size, (DRAWN, 1)), draws.uniforms(DRAWN, COLUMNS, 1), SCALE, RATIO)
    image = torch.zeros(3, *size)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = np.array([RandomResizedCrop.get_params(image, list(SCALE), list(RATIO)) for _ in range(DRAWN)])
    for quantity in (
        lambda box: box[:, 2] * box[:, 3],
        lambda box: box[:, 3] / box[:, 2],
        lambda box: box[:, 0],
        lambda box: box[:, 1],
        lambda box: box[:, 0] + box[:, 2],
    ):
        assert ks_2samp(quantity(ours), quantity(theirs)).pvalue > 1e-3


def test_areas_are_even_between_the_ends_of_the_scale():
    """Closed form, where every shape fits: a square aspect, and the share of the area uniform."""
    boxes = resized_crop_boxes(np.tile((500, 500), (DRAWN, 1)), draws.uniforms(DRAWN, COLUMNS, 2), (0.1, 0.9), (1, 1))
    share = boxes[:, 2] * boxes[:, 3] / 500**2
    assert (boxes[:, 2] == boxes[:, 3]).all()
    assert chisquare(np.histogram(share, bins=8, range=(0.1, 0.9))[0]).pvalue > 1e-3


@settings(max_examples=40)
@given(height=st.integers(1, 90), width=st.integers(1, 90), seed=st.integers(0, 99))
def test_boxes_lie_in_their_image(height, width, seed):
    sizes = np.tile((height, width), (20, 1))
    boxes = resized_crop_boxes(sizes, draws.uniforms(20, COLUMNS, seed), SCALE, RATIO)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] >= 1).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= sizes).all()


@pytest.mark.parametrize("size", [(10, 100), (100, 10)])
def test_an_image_that_no_shape_fits_is_cut_in_its_middle_as_torchvision_does(size):
    boxes = resized_crop_boxes(np.array([size]), draws.uniforms(1, COLUMNS, 0), (0.9, 1.0), RATIO)
    theirs = RandomResizedCrop.get_params(torch.zeros(3, *size), [0.9, 1.0], list(RATIO))
    assert tuple(boxes[0]) == tuple(theirs)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("out", [(24, 24), (40, 32), (9, 70)])
def test_crops_are_resized_as_pillow_resizes_them(interpolation, out):
    # not the whole range: Pillow clips between its two passes, where sharp kernels overshoot
    images = np.random.default_rng(0).integers(80, 176, (12, 50, 60, 3), dtype=np.uint8)
    augment = Augment("resized-crop", out, 0.5, interpolation=interpolation)
    drawn = cuts(augment, (50, 60), 12)
    made = applied(augment, images, drawn.boxes, drawn.flips).astype(int)
    for image, box, flip, ours in zip(images, drawn.boxes.tolist(), drawn.flips, made, strict=True):
        theirs = functional.resized_crop(Image.fromarray(image), *box, list(out), InterpolationMode(interpolation))
        theirs = functional.hflip(theirs) if flip else theirs
        assert np.abs(ours - np.asarray(theirs).astype(int)).max() <= 1  # Pillow rounds between its two passes


# --- shifts over a black border -------------------------------------------------------------------------


def test_shifts_are_even_and_independent():
    boxes = pad_crop_boxes(np.tile((32, 32), (8100, 1)), draws.uniforms(8100, COLUMNS, 0), 4)
    table = np.histogram2d(boxes[:, 0], boxes[:, 1], bins=[np.arange(-4.5, 5)] * 2)[0]
    assert table.shape == (9, 9)
    assert chisquare(table.ravel()).pvalue > 1e-3
    assert (boxes[:, 2:] == 32).all()


def test_every_shift_is_torchvision_s_crop_of_the_padded_image():
    """RandomCrop(size, padding=4) pads with black, then crops at 0 ... 8."""
    image = np.random.default_rng(0).integers(1, 256, (9, 7, 3), dtype=np.uint8)
    corners = [(top, left) for top in range(-4, 5) for left in range(-4, 5)]
    padded = functional.pad(Image.fromarray(image), 4)
    for flip in (False, True):
        boxes = [(*corner, 9, 7) for corner in corners]
        made = applied(Augment("pad-crop", (9, 7), 0.5), np.stack([image] * 81), boxes, [flip] * 81)
        for (top, left), ours in zip(corners, made, strict=True):
            theirs = functional.crop(padded, top + 4, left + 4, 9, 7)
            theirs = functional.hflip(theirs) if flip else theirs
            np.testing.assert_array_equal(ours, np.asarray(theirs))


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_the_mirror_s_rate(rate):
    flips = cuts(Augment("pad-crop", (8, 8), rate), (8, 8)).flips
    assert binomtest(int(flips.sum()), DRAWN, rate).pvalue > 1e-3


# --- what the data say ----------------------------------------------------------------------------------


class Named(Squares):
    def __init__(self, spec: str) -> None:
        super().__init__(4)
        self.spec = spec


@pytest.mark.parametrize(
    ("spec", "flip"),
    [
        ("torchvision:MNIST?root=data&train=true", 0.0),
        ("torchvision:SVHN?root=data&split=train", 0.0),
        ("torchvision:CIFAR10?root=data&train=true", 0.5),
        ("torchvision:FashionMNIST?root=data", 0.5),
        ("folder:pets", 0.5),
        ("something else", 0.5),
    ],
)
def test_digits_are_not_mirrored_unless_asked(spec, flip):
    assert settled_flip(Recipe(), Named(spec)) == flip
    assert settled_flip(Recipe(flip=0.25), Named(spec)) == 0.25


def test_planted_stripes_are_not_mirrored():
    """Mirrored, the stripes of one class run in the direction of another."""
    assert settled_flip(Recipe(), Planted(per_class=1)) == 0


def test_an_interpolation_without_a_batched_resize_is_refused():
    with pytest.raises(InputError, match="bilinear, bicubic, lanczos"):
        Augment.of(Recipe(interpolation="box"), (8, 8), 0.5)
