"""The looks of the page: paper, type and colours of the report, in Gradio's terms. No font is fetched."""

from importlib.resources import files
from typing import Any

import gradio as gr

SANS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Helvetica Neue",
    "Liberation Sans",
    "Arial",
    "sans-serif",
)
MONO = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "Liberation Mono", "monospace")
COLOURS = {  # name: (light, dark)
    "body_background_fill": ("#fafaf8", "#141618"),
    "body_text_color": ("#222222", "#ececea"),
    "body_text_color_subdued": ("#5f5f5f", "#b0b0ac"),
    "background_fill_primary": ("#fafaf8", "#141618"),
    "background_fill_secondary": ("#ffffff", "#1b1d20"),
    "block_background_fill": ("transparent", "transparent"),
    "block_label_background_fill": ("transparent", "transparent"),
    "block_label_text_color": ("#5f5f5f", "#b0b0ac"),
    "block_title_text_color": ("#5f5f5f", "#b0b0ac"),
    "border_color_primary": ("#d6d6d2", "#3b3e42"),
    "border_color_accent": ("#0072b2", "#6cbcf0"),
    "color_accent_soft": ("rgba(0, 114, 178, 0.09)", "rgba(74, 168, 224, 0.13)"),
    "input_background_fill": ("#ffffff", "#1b1d20"),
    "input_border_color": ("#d6d6d2", "#3b3e42"),
    "slider_color": ("#0072b2", "#6cbcf0"),
    "link_text_color": ("#0072b2", "#6cbcf0"),
}
SIZES = {
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_padding": "0px",
    "block_label_padding": "0px",
    "block_radius": "4px",
    "layout_gap": "18px",
    "input_radius": "4px",
    "block_title_text_weight": "400",
    "block_title_text_size": "0.88rem",
}


def looks() -> dict[str, Any]:
    """What `gradio.Blocks.launch` is told of them."""
    both = {name: light for name, (light, _) in COLOURS.items()}
    dark = {f"{name}_dark": dark for name, (_, dark) in COLOURS.items()}
    theme = gr.themes.Base(font=SANS, font_mono=MONO).set(**both, **dark, **SIZES)
    css = (files("bandscope.lens") / "static" / "lens.css").read_text(encoding="utf-8")
    return {"theme": theme, "css": css, "head": '<link rel="icon" href="data:,">'}
