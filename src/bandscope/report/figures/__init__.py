"""Tables in, figures out: the only part of bandscope that imports matplotlib.

The tables are those of `bandscope.analysis`; no statistic is computed here. A figure function returns a
matplotlib Figure that belongs to no window and no global state; `save` writes it.
"""

from bandscope.report.figures.bands import figure_band_accuracy
from bandscope.report.figures.compare import figure_comparison
from bandscope.report.figures.curves import figure_curves
from bandscope.report.figures.heatmap import figure_heatmap
from bandscope.report.figures.sample import figure_sample
from bandscope.report.figures.sample_zooms import figure_sample_zooms
from bandscope.report.figures.save import save
from bandscope.report.figures.scale import figure_scale_law, figure_scale_surface
from bandscope.report.figures.summary import figure_summary

__all__ = [
    "figure_band_accuracy",
    "figure_comparison",
    "figure_curves",
    "figure_heatmap",
    "figure_sample",
    "figure_sample_zooms",
    "figure_scale_law",
    "figure_scale_surface",
    "figure_summary",
    "save",
]
