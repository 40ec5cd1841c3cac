"""Data sets of the Hugging Face library, written by it."""

import datasets
import pytest
from small_images import encoded, pixels

NAMES = ["n01443537 goldfish", "n02123045_tabby", "car"]


def table(labels=(0, 2, 1, 0, 1), first=0, images=None, **more):
    """A data set of noise; `more` are further columns as (feature, values)."""
    images = images or [encoded(pixels(first + i)) for i in range(len(labels))]
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)}
    columns = {"image": [{"bytes": data, "path": None} for data in images], "label": list(labels)}
    for name, (feature, values) in more.items():
        features[name], columns[name] = feature, values
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """What the library prepares goes into a folder of the test's own; its bars stay out of the way."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()
