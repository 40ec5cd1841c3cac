"""Image sets: where they come from, which images of them are used, and which model output is right."""

from bandscope.datasets.arrays import ArraySource
from bandscope.datasets.base import ImageSource
from bandscope.datasets.load import load_source
from bandscope.datasets.matching import match_labels, read_groups
from bandscope.datasets.subset import Subset, select

__all__ = ["ArraySource", "ImageSource", "Subset", "load_source", "match_labels", "read_groups", "select"]
