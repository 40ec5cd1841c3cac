"""What the outputs of a model are called."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bandscope.data import imagenet_classes
from bandscope.datasets.names import class_label, normalised
from bandscope.errors import nearest
from bandscope.labels import ClassLabel

SAME_NAMES = 0.9  # of 1000 outputs named as ImageNet's: then the others are ImageNet's too, under other spellings

Kind = Literal["class", "index", "wnid", "name"]


@dataclass(frozen=True)
class Outputs:
    """A model's outputs: how many, whether it names them, the WordNet ids it has, and which outputs bear a name."""

    n: int
    named: bool
    wnids: Mapping[int, str]
    of_wnid: Mapping[str, tuple[int, ...]]
    of_name: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, classes: Sequence[ClassLabel] | None, n: int) -> "Outputs":
        """From a model's class labels, or None; ImageNet-1k's ids are filled in where they can be no other."""
        own = tuple(classes or ())
        imagenet = imagenet_classes() if _is_imagenet(classes, n) else ()
        wnids = {i: label.wnid for i, label in enumerate(imagenet or own) if label.wnid}
        spellings = [
            *enumerate(own),
            *(enumerate(imagenet) if own else ()),
        ]  # "crane" is ambiguous as "crane bird" too
        return cls(
            n=n,
            named=any(label.name or label.wnid for label in own),
            wnids=wnids,
            of_wnid=_places((wnid, i) for i, wnid in wnids.items()),
            of_name=_places((normalised(label.name), i) for i, label in spellings if label.name),
        )

    def find(self, text: str, kind: Kind = "class") -> int | None:
        """The one output that `text` means: an "index", a "wnid", a "name", or for a "class" what it looks like."""
        wnid = class_label(text).wnid
        if kind == "index" or (kind == "class" and is_number(text)):
            return int(text) if is_number(text) and int(text) < self.n else None
        if kind == "wnid" or (kind == "class" and wnid):
            return only(self.of_wnid.get(wnid, ()))
        return only(self.of_name.get(normalised(text), ()))

    def hint(self, text: str) -> str:
        """A sentence with the nearest name, or an empty string."""
        return nearest(normalised(text), self.of_name)


def only(found: Sequence[int]) -> int | None:
    """The single element, or None: two candidates are as good as none."""
    return found[0] if len(found) == 1 else None


def is_number(text: str) -> bool:
    """Whether `text` is a whole number, 0 or above."""
    return text.isascii() and text.isdecimal()


def _places(pairs: Iterable[tuple[str, int]]) -> dict[str, tuple[int, ...]]:
    places: dict[str, set[int]] = defaultdict(set)
    for key, place in pairs:
        places[key].add(place)
    return {key: tuple(sorted(found)) for key, found in places.items()}


def _is_imagenet(classes: Sequence[ClassLabel] | None, n: int) -> bool:
    """Whether 1000 outputs without ids can be ImageNet-1k's: they have no names, or ImageNet's."""
    theirs = imagenet_classes()
    if n != len(theirs):
        return False
    if classes is None:
        return True
    same = sum(normalised(a.name) == normalised(b.name) for a, b in zip(classes, theirs, strict=True))
    return same >= SAME_NAMES * n and not any(label.wnid for label in classes)
