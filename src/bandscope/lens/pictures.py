"""Arrays as pictures in a page: what is shown, and its spectrum with the kept part in colour."""

import io

import numpy as np
from jaxtyping import Float, UInt8

from bandscope.conventions import Convention
from bandscope.lens.setting import Setting
from bandscope.report.encoded import data_url, image_of

DARKEST, BRIGHTEST = 2.0, 99.9  # percentiles of log power that are drawn darkest and brightest
# Colours of rising power, where frequencies are kept and where they are taken away; the middle is the figures' blue.
KEPT = ((9, 20, 34), (0, 114, 178), (188, 226, 250), (255, 255, 255))
REMOVED = ((18, 19, 21), (52, 54, 57), (92, 94, 97), (150, 152, 155))


def png(pixels: UInt8[np.ndarray, "h w c"]) -> str:
    """A data URL of exactly these pixels."""
    buffer = io.BytesIO()
    image_of(pixels).save(buffer, "PNG", compress_level=1)
    return data_url(buffer.getvalue(), "png")


def spectrum(
    crop: UInt8[np.ndarray, "h w c"], setting: Setting, convention: Convention
) -> UInt8[np.ndarray, "h w rgb"]:
    """The log power of a crop, zero frequency in the middle; in colour as far as the filter keeps it, grey elsewhere.

    Args:
        crop: before the filter.
        setting: of the filter.
        convention: what a cut-off does.
    """
    kept = np.fft.fftshift(full_gain(setting, crop.shape[:2], convention))[:, :, None]
    power = np.fft.fftshift(log_power(crop))
    return np.asarray(
        (kept * _coloured(power, KEPT) + (1 - kept) * _coloured(power, REMOVED)).round().astype(np.uint8)
    )


def log_power(crop: UInt8[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w"]:
    """log10 of the power of each frequency, mean over channels, as a share of the range that is drawn."""
    power = (np.abs(np.fft.fft2(crop / 255, axes=(0, 1))) ** 2).mean(axis=2)
    power[0, 0] = power.max() if power.max() > 0 else 1.0
    log = np.log10(power + 1e-12 * power.max())
    low, high = np.percentile(log, (DARKEST, BRIGHTEST))
    return np.asarray(((log - low) / max(high - low, 1e-9)).clip(0, 1))


def full_gain(setting: Setting, size: tuple[int, int], convention: Convention) -> Float[np.ndarray, "h w"]:
    """The filter's gain over the whole spectrum, in the order of `np.fft.fft2`."""
    height, width = size
    probe = setting.probe(size)
    if probe is None:
        return np.ones(size)
    half = probe.gain(0, convention)
    rest = half[-np.arange(height) % height][:, width - np.arange(half.shape[1], width)]
    return np.concatenate([half, rest], axis=1)


def _coloured(power: Float[np.ndarray, "h w"], stops: tuple[tuple[int, int, int], ...]) -> Float[np.ndarray, "h w 3"]:
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(power, places, channel) for channel in zip(*stops, strict=True)], axis=-1)
