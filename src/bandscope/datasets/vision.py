"""Image classification sets of torchvision.datasets."""

from collections.abc import Mapping, Sequence
from inspect import Parameter, isclass, signature
from pathlib import Path
from typing import Any

import torchvision.datasets
from PIL import Image

from bandscope.datasets.base import SourceFacts
from bandscope.datasets.decode import decoding
from bandscope.datasets.fingerprint import fingerprint
from bandscope.datasets.spec import Spec, arguments
from bandscope.datasets.strings import Strings
from bandscope.datasets.vision_facts import FAILURES, class_labels, image_contents, image_paths, label_values
from bandscope.errors import DataError, ImageError, InputError, nearest

HELD_OUT = ("test", "val", "valid")  # tried in this order where no split is given
# other options that name a part (of MNIST, Omniglot, INaturalist, LSUN): their default, and what is held out from it
PARTS: Mapping[str, tuple[Any, Any]] = {
    "train": (True, False),
    "background": (True, False),
    "version": ("2021_train", "2021_valid"),
    "classes": ("train", "val"),
}
NOT_OPTIONS = frozenset({"self", "transform", "target_transform", "transforms", "loader", "is_valid_file", "kwargs"})
ABSTRACT = frozenset({"VisionDataset", "DatasetFolder"})


class Vision(SourceFacts):
    """`torchvision:NAME?root=DIR`: a data set of torchvision, read by torchvision.

    Its test or validation part, unless an option (`split`, `train`) says otherwise; `spec` then says which.

    Raises:
        InputError: the name or an option is unknown, or one is missing.
        DataError: the data are not in `root`, or are not images with one class each.
    """

    def __init__(self, spec: Spec) -> None:
        self._dataset, self.spec = _open(spec)
        values = label_values(self._dataset, self.spec)
        self.classes, self.labels = class_labels(self._dataset, values, self.spec)
        self.paths: Sequence[str] = Strings(image_paths(self._dataset))
        self._check_first()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> Image.Image:
        """The decoded image at `position`, as torchvision's own loader gives it."""
        position = range(len(self))[position]
        with decoding():
            image: Image.Image = self._dataset[position][0]
            image.load()
        return image

    def fingerprint(self) -> str:
        """A hash of classes, labels, and the files' names and sizes, or the pixels where they are in memory."""
        return fingerprint(self.classes, self.labels, image_contents(self._dataset))

    def _check_first(self) -> None:
        try:
            with decoding():
                image = self._dataset[0][0]
        except ImageError:
            return  # one bad image says nothing about the set
        if not isinstance(image, Image.Image):
            raise DataError(f"{self.spec!r} gives {type(image).__name__}, not images; it cannot be audited.")


def _open(spec: Spec) -> tuple[Any, str]:
    """The data set, and the spec with the part that was chosen."""
    dataset = _named(spec)
    parameters = _parameters(dataset)
    given = _arguments(spec, parameters)
    parts = _held_out_parts(parameters, given)
    refusals = []
    for part in parts:
        try:
            return _construct(dataset, {**given, **part}, spec), _chosen(spec, part)
        except InputError as error:
            refusals.append(error)
    if len(parts) == 1:
        raise refusals[0]
    raise InputError(f"{spec.text!r} has no part named {', '.join(HELD_OUT)}; add split=PART. {refusals[0]}")


def _arguments(spec: Spec, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """The options of the spec, none missing; nothing is downloaded unasked, whatever torchvision's default."""
    given = arguments(spec, parameters)
    for name, parameter in parameters.items():
        if parameter.default is Parameter.empty and name not in {*given, "split"}:
            raise InputError(f"{spec.text!r} needs the option {name!r}, as in torchvision:{spec.place}?{name}=VALUE.")
    if "root" in given:
        given["root"] = Path(given["root"]).expanduser()
    return {"download": False, **given} if "download" in parameters else given


def _named(spec: Spec) -> Any:
    found = {name: getattr(torchvision.datasets, name) for name in torchvision.datasets.__all__}
    sets = {name: each for name, each in found.items() if isclass(each) and name not in ABSTRACT}
    if spec.place not in sets:
        same = [f" Did you mean {name!r}?" for name in sets if name.lower() == spec.place.lower()]
        hint = same[0] if same else nearest(spec.place, sets)
        raise InputError(f"torchvision.datasets has no {spec.place!r} ({spec.text!r}).{hint}")
    return sets[spec.place]


def _parameters(dataset: type) -> dict[str, Parameter]:
    """What the constructor takes; where it passes **kwargs on, also what its base takes."""
    parameters: dict[str, Parameter] = {}
    for base in dataset.__mro__:
        own = signature(base.__init__).parameters  # type: ignore[misc]
        parameters = {**own, **parameters}
        if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in own.values()):
            break
    return {name: parameter for name, parameter in parameters.items() if name not in NOT_OPTIONS}


def _held_out_parts(parameters: Mapping[str, Parameter], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The options to try, in order, to get the part that a model was not trained on."""
    held_out = {
        name: part
        for name, (default, part) in PARTS.items()
        if name in parameters and name not in given and parameters[name].default == default
    }
    if "split" in parameters and "split" not in given:
        return [{**held_out, "split": split} for split in HELD_OUT]
    return [held_out]


def _chosen(spec: Spec, part: Mapping[str, Any]) -> str:
    added = "&".join(f"{name}={str(value).lower()}" for name, value in part.items())
    return f"{spec.text}{'&' if spec.options else '?'}{added}" if added else spec.text


def _construct(dataset: Any, given: Mapping[str, Any], spec: Spec) -> Any:
    try:
        return dataset(**given)
    except FAILURES as error:
        said = " ".join(str(error).split())
        if isinstance(error, ValueError) and "Unknown value" in said:
            raise InputError(f"{spec.text!r}: {said}") from error
        raise DataError(f"{spec.text!r} cannot be opened. {_remedy(given, spec)} torchvision says: {said}") from error


def _remedy(given: Mapping[str, Any], spec: Spec) -> str:
    root = given.get("root")
    where = (
        f"the folder {str(root)!r}" if root is None or Path(root).is_dir() else f"{str(root)!r}, which does not exist"
    )
    if given.get("download") is False:
        return f"Its files are looked for in {where}; add download=true to fetch them there."
    return f"Its files are looked for in {where}; torchvision's page on {spec.place} says where to get them."
