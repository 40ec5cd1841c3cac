"""An image through a processor of transformers, and through ours."""

import numpy as np
import torch
from PIL import Image


def noise(width, height, mode="RGB"):
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def tensors(processor, preprocess, image):
    """(theirs, ours) of one image."""
    theirs = processor(images=image, return_tensors="pt")["pixel_values"][0]
    return theirs, preprocess.normalise(torch.from_numpy(preprocess.crop(image))[None])[0]
