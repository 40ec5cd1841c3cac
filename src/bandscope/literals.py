"""Values that a user writes as text: in specs after the question mark, and after `--set`."""

import ast
from typing import Any

WORDS = {"true": True, "false": False, "none": None}


def parse_literal(text: str) -> Any:
    """A Python literal where the text reads as one (`true`, `false` and `none` too, in any case), else the text."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
