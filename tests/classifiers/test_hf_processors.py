"""Image processors of transformers, followed exactly or refused; they themselves are the oracle."""

import pytest
import torch
import transformers
from PIL import Image
from processed import noise, tensors

from bandscope.classifiers.hf_processors import read_processor
from bandscope.errors import ModelError
from bandscope.preprocess import Preprocess

PROCESSORS = {
    "shortest edge, then a crop": transformers.CLIPImageProcessor,
    "squashed, then a crop": transformers.DeiTImageProcessor,
    "squashed alone": transformers.SiglipImageProcessor,
    "ConvNeXT below 384": lambda **more: transformers.ConvNextImageProcessor(size={"shortest_edge": 224}, **more),
    "ConvNeXT from 384 on": transformers.ConvNextImageProcessor,
    "PoolFormer": transformers.PoolFormerImageProcessor,
    "LeViT": transformers.LevitImageProcessor,
    "EfficientNet": transformers.EfficientNetImageProcessor,
    "EfficientNet with an offset": lambda **more: transformers.EfficientNetImageProcessor(
        rescale_factor=1 / 127.5, rescale_offset=True, include_top=False, **more
    ),
    "MobileNetV1": transformers.MobileNetV1ImageProcessor,
    "MobileViT in BGR": transformers.MobileViTImageProcessor,
    "odd crops": lambda **more: transformers.BitImageProcessor(
        size={"shortest_edge": 101}, crop_size={"height": 90, "width": 77}, **more
    ),
    "no resize, padded": lambda **more: transformers.BitImageProcessor(do_resize=False, crop_size=301, **more),
    "not normalised": lambda **more: transformers.ViTImageProcessor(do_normalize=False, **more),
    "not rescaled": lambda **more: transformers.ViTImageProcessor(
        do_rescale=False, image_mean=[127.5] * 3, image_std=[127.5] * 3, **more
    ),
    "one number for all channels": lambda **more: transformers.ViTImageProcessor(
        image_mean=0.4, image_std=0.3, **more
    ),
    "Lanczos": lambda **more: transformers.ViTImageProcessor(resample=Image.Resampling.LANCZOS, **more),
    "nearest": lambda **more: transformers.ViTImageProcessor(resample=Image.Resampling.NEAREST, **more),
}


def pil(processor, folder):
    """The same processor with Pillow's backend, which is the definition."""
    processor.save_pretrained(folder)
    return transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")


@pytest.mark.parametrize("name", PROCESSORS)
def test_processors_of_every_family(tmp_path, name):
    processor = pil(PROCESSORS[name](), tmp_path)
    preprocess, swapped = read_processor(processor)
    assert swapped == ("BGR" in name)
    for size in ((500, 375), (333, 500), (225, 224), (224, 227), (640, 201), (230, 40)):
        theirs, ours = tensors(processor, preprocess, noise(*size))
        torch.testing.assert_close(
            ours.flip(0) if swapped else ours, theirs, rtol=1e-5, atol=2e-5 / min(preprocess.std)
        )


@pytest.mark.parametrize("name", ["shortest edge, then a crop", "squashed alone", "ConvNeXT below 384", "LeViT"])
def test_real_photographs(tmp_path, real_data, name):
    """Sizes as cameras and the web make them; nothing in these crops is padded."""
    processor = pil(PROCESSORS[name](), tmp_path)
    other = PROCESSORS[name]()
    preprocess, _ = read_processor(processor)
    files = sorted(real_data.glob("imagenet-500/*/*.JPEG"))[::40]
    sizes = set()
    for file in files:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        sizes.add(image.size)
        theirs, ours = tensors(processor, preprocess, image)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        levels = 255 * torch.tensor(preprocess.std).view(-1, 1, 1)
        fast = other(images=image, return_tensors="pt")["pixel_values"][0]
        assert float(((fast - ours).abs() * levels).max()) < 8  # torchvision's resize, the default backend
    assert len(sizes) > 5


@pytest.mark.parametrize("size", [(64, 61), (61, 64), (63, 64), (30, 41), (31, 29), (20, 90)])
def test_the_crop_starts_where_theirs_does(size):
    """Half of all odd rests would be a pixel off with torchvision's rounding; smaller images are padded."""
    processor = transformers.BitImageProcessorPil(do_resize=False, crop_size={"height": 32, "width": 40})
    preprocess, _ = read_processor(processor)
    theirs, ours = tensors(processor, preprocess, noise(*size))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_check_sees_a_shift_of_one_pixel(monkeypatch):
    processor = transformers.BitImageProcessorPil()
    plain = Preprocess.__init__
    monkeypatch.setattr(Preprocess, "__init__", lambda self, **k: plain(self, **{**k, "crop_rounding": "even"}))
    with pytest.raises(ModelError, match=r"more than its settings say: .* grey levels"):
        read_processor(processor)


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        (transformers.PerceiverImageProcessorPil(), "more than its settings say|makes"),
        (transformers.ViTImageProcessorPil(do_pad=True, pad_size={"height": 300, "width": 300}), "pads images"),
        (transformers.SiglipImageProcessorPil(size={"shortest_edge": 64}), "crops nothing.*shape of its own"),
        (transformers.ViTImageProcessorPil(do_resize=False), "crops nothing"),
        (
            transformers.CLIPImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 90}),
            "resizes to .*longest_edge",
        ),
        (transformers.TextNetImageProcessorPil(do_center_crop=True), "more than its settings say"),
        (transformers.ImageGPTImageProcessorPil(clusters=[[0, 0, 0]]), "fails on an image|makes|settings"),
        (transformers.MobileViTImageProcessorPil(do_normalize=True), "more than its settings say"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_a_preprocess_cannot_say_is_refused(processor, message):
    with pytest.raises(ModelError, match=message):
        read_processor(processor)
