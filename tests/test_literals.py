"""Values that a user writes as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandscope.literals import parse_literal


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.tuples(st.integers())))
def test_what_python_writes_is_read_back(value):
    assert parse_literal(repr(value)) == value


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("none", None), ("NONE", None)])
def test_words_in_any_case(text, value):
    assert parse_literal(text) is value


@pytest.mark.parametrize("text", ["bicubic", "a/b.csv", "1e", "__import__('os')", "(1", ""])
def test_everything_else_stays_text(text):
    assert parse_literal(text) == text
