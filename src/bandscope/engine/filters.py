"""All filtered versions of a batch from one forward transform."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from bandscope.conventions import Convention
from bandscope.preprocess import Preprocess
from bandscope.probes import FilterPass, ResolvedProbe, filter_passes
from bandscope.spectral.inverse import Inverse

# A filtered value counts as out of range beyond this margin: rounding must not, half a grey level must.
RANGE_TOLERANCE = 1e-4


class FilterBank:
    """Yields every condition of the probes for a batch of crops.

    Each distinct gain costs one inverse transform; a complement (high-pass, band-stop) is a subtraction.
    """

    def __init__(
        self, probes: Sequence[ResolvedProbe], convention: Convention, preprocess: Preprocess, device: torch.device
    ) -> None:
        self._convention = convention
        self._preprocess = preprocess
        self._cutoffs = {probe.name: probe.cutoffs for probe in probes}
        self._passes: list[tuple[FilterPass, float, Inverse]] = [
            (one_pass, float(gain[0, 0]), Inverse(gain, preprocess.size[1], device))
            for one_pass in filter_passes(probes)
            for gain in (one_pass.gain(preprocess.size, convention),)
        ]
        one = torch.ones(1, preprocess.channels, 1, 1, device=device)
        pixel = convention.domain == "pixel"
        self._low, self._high = (v if pixel else preprocess.affine(v) for v in (one * 0, one))
        self._tolerance = RANGE_TOLERANCE * (self._high - self._low)

    def __call__(
        self, pixels: UInt8[torch.Tensor, "n h w c"]
    ) -> Iterator[tuple[str, tuple[float, float], Float[torch.Tensor, "n c h w"], Float[torch.Tensor, " n"]]]:
        """(probe name, cut-off, what the network sees, share of out-of-range values) for each condition."""
        base = self._base(pixels)
        mean = base.mean((-2, -1), keepdim=True)
        spectrum = torch.fft.rfft2(base)
        for one_pass, of_mean, inverse in self._passes:
            kept = inverse(spectrum)
            for name, index, complement in one_pass.members:
                image = base - kept if complement else kept
                if self._convention.keep_mean:
                    image = image + mean * (of_mean if complement else 1 - of_mean)
                yield name, self._cutoffs[name][index], self._seen(image), self._outside(image)

    def _base(self, pixels: UInt8[torch.Tensor, "n h w c"]) -> Float[torch.Tensor, "n c h w"]:
        if self._convention.domain == "normalised":
            return self._preprocess.normalise(pixels)
        return pixels.permute(0, 3, 1, 2).contiguous().float() / 255

    def _seen(self, image: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n c h w"]:
        if self._convention.clip:
            image = image.clamp(self._low, self._high)
        return self._preprocess.affine(image) if self._convention.domain == "pixel" else image

    def _outside(self, image: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, " n"]:
        low, high = self._low - self._tolerance, self._high + self._tolerance
        if image.device.type != "cpu":
            outside: Bool[torch.Tensor, "n c h w"] = (image < low) | (image > high)
            return outside.float().mean((1, 2, 3))
        return torch.from_numpy(_share_outside(image.numpy(), low.numpy()[0], high.numpy()[0]))


def _share_outside(
    images: Float[np.ndarray, "n c h w"], low: Float[np.ndarray, "c 1 1"], high: Float[np.ndarray, "c 1 1"]
) -> Float[np.ndarray, " n"]:
    """Image by image in two buffers, so that what is compared and counted stays in the cache."""
    below, above = np.empty(images.shape[1:], dtype=bool), np.empty(images.shape[1:], dtype=bool)
    counts = np.empty(len(images), dtype=np.float32)
    for i, image in enumerate(images):
        np.less(image, low, out=below)
        np.greater(image, high, out=above)
        counts[i] = np.count_nonzero(np.logical_or(below, above, out=below))
    return counts / np.float32(below.size)
