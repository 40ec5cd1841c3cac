"""Analysis: a cube in, tidy tables out. Every number has its interval, or NaN and a reason."""

from bandscope.analysis.association import band_accuracy
from bandscope.analysis.bands import bands
from bandscope.analysis.conflicts import conflicts
from bandscope.analysis.curves import clean, curves
from bandscope.analysis.reach import reach
from bandscope.analysis.sample import sample_curves
from bandscope.analysis.samples import samples
from bandscope.analysis.similarity import similarity, similarity_summary
from bandscope.analysis.takeovers import takeovers, usurpers

__all__ = [
    "band_accuracy",
    "bands",
    "clean",
    "conflicts",
    "curves",
    "reach",
    "sample_curves",
    "samples",
    "similarity",
    "similarity_summary",
    "takeovers",
    "usurpers",
]
