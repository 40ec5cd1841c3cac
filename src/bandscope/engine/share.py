"""Shares: which blocks of a store are whose, when several processes fill it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bandscope.errors import InputError


@dataclass(frozen=True)
class Share:
    """The `number`-th of `count` equal parts of the blocks, counted from 1: every `count`-th block."""

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise InputError(f"The shard {self.number}/{self.count} is not possible; it goes from 1/N to N/N.")

    @property
    def alone(self) -> bool:
        """Whether no other process has a part."""
        return self.count == 1

    def of(self, blocks: Iterable[int]) -> list[int]:
        """The blocks of this share; the shares of all numbers hold each block once."""
        return [block for block in blocks if block % self.count == self.number - 1]


ALONE = Share()


def parse_share(text: str) -> Share:
    """A share from "2/8"."""
    found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text, re.ASCII)
    if not found:
        raise InputError(f"The shard {text!r} is not NUMBER/COUNT, such as 2/8 for the second of eight.")
    return Share(int(found[1]), int(found[2]))


def launched_share(environment: Mapping[str, str]) -> Share:
    """The share that torchrun gives this process (RANK, WORLD_SIZE); all of it without torchrun."""
    rank, count = environment.get("RANK", ""), environment.get("WORLD_SIZE", "")
    return Share(int(rank) + 1, int(count)) if rank.isdecimal() and count.isdecimal() else ALONE
