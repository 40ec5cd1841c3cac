from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandscope.errors import InputError
from bandscope.nn import FIRST_ORDER, SECOND_ORDER, spread_operators

LISTS = st.lists(st.sampled_from(["g", "dx", "dy", "dxx", "dxy", "dyy", "laplacian"]), min_size=1, unique=True)


@st.composite
def requests(draw):
    names = draw(LISTS)
    channels = draw(st.integers(2 * len(names), 200))
    return channels, names, draw(st.floats(0.5, 1.0))


@given(requests())
def test_what_remains_passes(request):
    channels, names, share = request
    spread = spread_operators(channels, names, share=share)
    each = int(share * channels) // len(names)
    assert spread == tuple(names[c % len(names)] for c in range(each * len(names))) + ("identity",) * (
        channels - each * len(names)
    )


@given(requests())
def test_what_remains_is_touched(request):
    channels, names, share = request
    counts = Counter(spread_operators(channels, names, share=share, remainder="touch"))
    passed = counts.pop("identity", 0)
    assert channels - passed == int(share * channels)
    assert set(counts) == set(names)
    assert max(counts.values()) - min(counts.values()) <= 1


@given(requests(), st.sampled_from(["pass", "touch"]))
def test_layouts_hold_the_same_operators(request, remainder):
    channels, names, share = request
    interleaved = spread_operators(channels, names, share=share, remainder=remainder)
    grouped = spread_operators(channels, names, share=share, remainder=remainder, layout="grouped")
    assert grouped == tuple(sorted(interleaved, key=[*names, "identity"].index))


@given(st.lists(st.sampled_from(["identity", "g", "dx", "dxxyy"]), min_size=1, max_size=40))
def test_a_list_as_long_as_the_channels_is_taken_as_it_is(names):
    assert spread_operators(len(names), names) == tuple(names)


def test_the_papers_counts():
    assert Counter(spread_operators(32, SECOND_ORDER, share=0.5))["identity"] == 17
    assert Counter(spread_operators(512, SECOND_ORDER, share=0.5))["identity"] == 257
    assert Counter(spread_operators(32, FIRST_ORDER, share=0.5))["identity"] == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, ("dx", "dy", "dxx", "dyy", "dxy")), "5 operators .* do not fit 4 channels"),
        ((8, ("dx", "dy", "dxx", "dyy", "dxy"), 0.5), "do not fit 4 channels"),
        ((8, ("dx", "dz")), "'dz'.*Did you mean"),
        ((8, ()), "one or more"),
        ((8, "dx"), "one or more"),
        ((8, ("dx",), 0.0), "share"),
        ((8, ("dx",), 1.5), "share"),
        ((8, ("dx",), float("nan")), "share"),
    ],
)
def test_refusals(arguments, message):
    channels, names, *share = arguments
    with pytest.raises(InputError, match=message):
        spread_operators(channels, names, share=share[0] if share else 1.0)
