"""Names of classes."""

from bandscope.labels import distinct_names


def test_names_that_are_alike_are_told_apart_by_their_index():
    assert distinct_names(["crane", "tench", "crane"]) == ("crane [0]", "tench", "crane [2]")
    assert distinct_names([]) == ()
