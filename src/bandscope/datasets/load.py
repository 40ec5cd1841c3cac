"""From what a user wrote to an image source."""

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any

from bandscope.datasets.base import ImageSource
from bandscope.datasets.spec import FORMS, Spec, arguments, parse_spec
from bandscope.errors import InputError


def load_source(spec: str | ImageSource, **options: Any) -> ImageSource:
    """Open an image set.

    - `folder:DIR[?allow_empty=true]`: class folders, as torchvision's ImageFolder reads them.
    - `parquet:GLOB[?image=image&label=label&split=test]`: Parquet files with an image and a label column.
    - `hf:NAME[?split=...&config=...&image=...&label=...&revision=...]`: a data set of the Hugging Face datasets
      library: an id of its hub (which is downloaded), a folder it can read, or one that `save_to_disk` made.
    - `wds:SHARDS[?image=jpg&label=cls&classes=FILE]`: tar shards of WebDataset, with braces and wildcards.
    - `torchvision:NAME?root=DIR[&split=...&train=...&download=true]`: an image classification set of
      torchvision.datasets, by default its test or validation part, downloaded only where asked for.
    - `planted[?per_class=30&seed=0...]`: the procedural set whose frequencies are known.

    Args:
        spec: one of these, or an `ImageSource`, which is returned as it is.
        **options: the options of the spec, as keywords.

    Returns:
        The images with their labels, none decoded yet.

    Raises:
        InputError: the spec or an option is unknown or out of its range.
        DataError: there is no such image set, or it cannot be read.
    """
    if not isinstance(spec, str):
        return _given(spec, options)
    parsed = parse_spec(spec, options)
    return _OPENERS[parsed.kind](parsed)


def _given(source: object, options: Mapping[str, Any]) -> ImageSource:
    if not isinstance(source, ImageSource):
        kind = type(source).__name__
        raise InputError(
            f"Images are given as {kind}, not a spec (a str: {FORMS}) or an ImageSource. Images in memory become one "
            "by bandscope.ArraySource(images, labels)."
        )
    if options:
        raise InputError(f"Options {sorted(options)} need a spec; an ImageSource has been opened already.")
    return source


def _open_folder(spec: Spec) -> ImageSource:
    from bandscope.datasets.folder import Folder

    return Folder(spec.place, spec=spec.text, **arguments(spec, _options(Folder)))


def _open_parquet(spec: Spec) -> ImageSource:
    from bandscope.datasets.parquet import Parquet  # pyarrow takes long to import

    return Parquet(spec.place, spec=spec.text, **arguments(spec, _options(Parquet)))


def _open_hf(spec: Spec) -> ImageSource:
    from bandscope.datasets.hf import HuggingFace  # and so do the libraries of these two, which are optional

    return HuggingFace(spec.place, spec=spec.text, **arguments(spec, _options(HuggingFace)))


def _open_wds(spec: Spec) -> ImageSource:
    from bandscope.datasets.wds import Shards

    return Shards(spec.place, spec=spec.text, **arguments(spec, _options(Shards)))


def _open_torchvision(spec: Spec) -> ImageSource:
    from bandscope.datasets.vision import Vision  # and so does torchvision

    return Vision(spec)


def _open_planted(spec: Spec) -> ImageSource:
    from bandscope.datasets.planted import Planted

    return Planted(**arguments(spec, _options(Planted, first=0)))


_OPENERS: Mapping[str, Callable[[Spec], ImageSource]] = {
    "folder": _open_folder,
    "parquet": _open_parquet,
    "hf": _open_hf,
    "wds": _open_wds,
    "torchvision": _open_torchvision,
    "planted": _open_planted,
}


def _options(source: type, first: int = 1) -> dict[str, Parameter]:
    """The parameters of a source that a spec may set: all but its place and its spec."""
    parameters = list(signature(source).parameters.values())[first:]
    return {parameter.name: parameter for parameter in parameters if parameter.name != "spec"}
