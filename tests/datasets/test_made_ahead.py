"""What is made ahead comes in order, and no further ahead than asked."""

import threading
import time

import pytest

from bandscope.datasets.ahead import made_ahead


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_batches_come_in_order_and_so_many_before_their_turn(ahead):
    drawn = []

    def batches():
        for batch in range(6):
            drawn.append(batch)
            yield batch, [batch * 10 + image for image in range(3)]

    def make(image: int) -> int:
        time.sleep(0.001 * (9 - image % 10))  # the later an image, the sooner it is made
        return -image

    for turn, (batch, images) in enumerate(made_ahead(make, batches(), workers=4, ahead=ahead)):
        assert batch == turn
        assert images == [-(batch * 10), -(batch * 10 + 1), -(batch * 10 + 2)]
        assert len(drawn) == min(6, turn + 1 + ahead)


def test_the_first_error_comes_in_its_turn_and_ends_the_threads():
    def make(image: int) -> int:
        if image == 5:
            raise ValueError(image)
        return image

    before, seen = {*threading.enumerate()}, []
    made = made_ahead(make, ((b, [2 * b, 2 * b + 1]) for b in range(9)), workers=2, ahead=4)
    with pytest.raises(ValueError, match="5"):
        seen.extend(batch for batch, _ in made)
    assert seen == [0, 1]
    assert not {*threading.enumerate()} - before
