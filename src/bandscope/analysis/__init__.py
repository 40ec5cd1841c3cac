"""Analysis: a cube in, tidy tables out. Every number has its interval, or NaN and a reason."""

from bandscope.analysis.association import band_accuracy
from bandscope.analysis.bands import bands
from bandscope.analysis.comparison.common import common_images
from bandscope.analysis.comparison.compare import compare
from bandscope.analysis.comparison.differences import band_differences, differences
from bandscope.analysis.comparison.wins import wins
from bandscope.analysis.conflicts import conflicts
from bandscope.analysis.curves import clean, curves
from bandscope.analysis.reach import reach
from bandscope.analysis.sample import sample_curves
from bandscope.analysis.samples import samples
from bandscope.analysis.scaling.law import scale_law, scale_points, scale_surface
from bandscope.analysis.similarity import similarity, similarity_summary
from bandscope.analysis.takeovers import takeovers, usurpers
from bandscope.analysis.telling import telling
from bandscope.analysis.zoom import at_zoom

__all__ = [
    "at_zoom",
    "band_accuracy",
    "band_differences",
    "bands",
    "clean",
    "common_images",
    "compare",
    "conflicts",
    "curves",
    "differences",
    "reach",
    "sample_curves",
    "samples",
    "scale_law",
    "scale_points",
    "scale_surface",
    "similarity",
    "similarity_summary",
    "takeovers",
    "telling",
    "usurpers",
    "wins",
]
