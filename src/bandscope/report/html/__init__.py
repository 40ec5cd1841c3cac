"""The report: one self-contained HTML file. `build` reads cubes into plain data, `render` puts them into a page.

A page holds its data, its scripts and plotly.js in itself, compressed; it opens from disk and asks no network for
anything. It shows the numbers of the analysis tables; its own JavaScript draws, sorts and filters images.
"""

from bandscope.report.html.write import Written, write_page, write_report

__all__ = ["Written", "write_page", "write_report"]
