"""The whole product against truths that are not ours: planted bands, and a naive loop on real images."""

import numpy as np
import pytest
import torch
from PIL import Image

import bandscope as bs
from bandscope.api import audit
from bandscope.classifiers import load_classifier
from bandscope.datasets.planted import BANDS


@pytest.fixture(scope="module")
def planted_bands():
    return bs.bands(audit(threads=1), by="class")


@pytest.mark.parametrize("probe", ["low_pass", "high_pass"])
def test_the_recovered_bands_are_the_planted_ones(planted_bands, probe):
    rows = planted_bands[planted_bands["probe"] == probe].sort_values("class_index")
    centres, edges = rows["r50"].to_numpy()[: len(BANDS)], np.array(BANDS)
    assert ((edges[:, 0] <= centres) & (centres <= edges[:, 1])).sum() >= 7
    assert (np.diff(centres) > 0).all()
    assert (rows["r50_ci_low"].to_numpy()[:8] <= centres).all()


def test_background_has_no_band_and_says_why(planted_bands):
    background = planted_bands[planted_bands["group"] == "background"]
    assert background["r50"].isna().all()
    assert background["reason"].str.contains("rise").all()


@pytest.mark.parametrize("radius", [10.0, 45.0, 120.0])
def test_predictions_on_real_images_equal_a_naive_loop(real_data, radius):
    """Complex FFT of the whole image in float64, one image and one condition at a time, NCHW."""
    classifier = load_classifier(
        "timm:mobilenetv1_100?pad_type=same",
        weights=real_data / "weights" / "mobilenetv1_100_tf_224.safetensors",
        overrides={"mean": 0.5, "std": 0.5, "crop_pct": 0.875, "input_size": 224},
    )
    source = f"folder:{real_data / 'imagenet-500'}"
    cube = audit(
        classifier, source, probes=(bs.LowPass((radius,)), bs.HighPass((radius,))), limit=6, batch_size=4, threads=1
    )
    y, x = np.indices((224, 224)) - 112
    low = np.hypot(y, x) <= radius
    for i, path in enumerate(cube.dataset["source"].values):
        with Image.open(real_data / "imagenet-500" / str(path)) as image:
            crop = classifier.preprocess.crop(image).astype(np.float64) / 255
        tensor = ((crop - 0.5) / 0.5).transpose(2, 0, 1)
        for probe, mask in (("low_pass", low), ("high_pass", ~low)):
            spectrum = np.fft.fftshift(np.fft.fft2(tensor), axes=(1, 2)) * mask
            filtered = np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(1, 2))).real
            logits = classifier.logits(torch.from_numpy(filtered).float()[None].contiguous())[0]
            best = logits.topk(2)
            if best.values[0] - best.values[1] > 1e-3:
                assert cube[probe].dataset["top5_class"].values[i, 0, 0] == best.indices[0]
            label = int(cube.dataset["label"].values[i])
            others = logits.clone()
            others[label] = -np.inf
            margin = float(logits[label] - others.max())
            assert cube[probe].dataset["margin"].values[i, 0] == pytest.approx(margin, abs=2e-3)
