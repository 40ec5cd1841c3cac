"""One part of a data set of the Hugging Face datasets library, found on the hub or on this machine."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub

from bandscope.datasets.names import listed
from bandscope.errors import DataError, InputError, first_line, nearest

HELD_OUT = ("test", "val", "valid", "validation")  # tried in this order where no split is asked for
SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk leaves in its folder
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
TIMEOUT = 10  # seconds for the hub to answer whether there is such a data set


def open_split(name: str, split: str, config: str, revision: str, spec: str) -> tuple[Any, str]:
    """A part of a data set, and its name; "" for a saved data set that is one part.

    Raises:
        InputError: the split or configuration is unknown, or must be given, or does not apply.
        DataError: there is no such data set, or it cannot be read.
    """
    folder = Path(name).expanduser()
    local = folder.is_dir()
    if local and revision:
        raise InputError(f"{spec!r}: a folder has no revisions; leave revision={revision} out.")
    if local and any((folder / file).is_file() for file in SAVED):
        return _saved(folder, split, config, spec)
    if not local and (folder.exists() or not HUB_ID.fullmatch(name)):
        raise DataError(f"{spec!r} is neither a folder that exists nor an id of the hub, such as user/name.")
    options = {"name": config or None, "revision": revision or None}
    with _quietly() if local else _reached(name, revision, spec):
        return _loaded(str(folder) if local else name, split, options, spec)


def _saved(folder: Path, split: str, config: str, spec: str) -> tuple[Any, str]:
    if config:
        raise InputError(f"{spec!r}: what save_to_disk wrote has no configurations; leave config={config} out.")
    try:
        found: Any = datasets.load_from_disk(str(folder))
    except Exception as error:  # a damaged folder fails with anything
        raise DataError(f"{str(folder)!r} cannot be opened as a saved data set: {first_line(error)}.") from error
    if isinstance(found, datasets.DatasetDict):
        part = _chosen(list(found), split, spec)
        return found[part], part
    if split and split != str(found.split):
        raise InputError(f"{spec!r} is one part alone ({found.split}); leave split={split} out.")
    return found, ""


def _loaded(place: str, split: str, options: dict[str, Any], spec: str) -> tuple[Any, str]:
    try:
        configs = datasets.get_dataset_config_names(place, revision=options["revision"])
        options["name"] = _configuration(configs, options["name"], place, spec)
        splits = datasets.get_dataset_split_names(place, config_name=options["name"], revision=options["revision"])
        part = _chosen([str(each) for each in splits], split, spec)
        return datasets.load_dataset(place, split=part, **options), part
    except (InputError, DataError):
        raise
    except Exception as error:  # the errors of its many readers have no common base
        raise DataError(f"{spec!r} cannot be opened: {first_line(error)}.") from error


def _configuration(configs: Sequence[str], wanted: str | None, place: str, spec: str) -> str | None:
    if wanted and wanted not in configs:
        raise InputError(
            f"{spec!r} has no configuration {wanted!r}; it has {listed(configs)}.{nearest(wanted, configs)}"
        )
    if wanted or len(configs) == 1 or "default" in configs:
        return wanted
    raise InputError(f"{spec!r} has several configurations: {listed(configs)}; say which: ?config=NAME.")


def _chosen(splits: Sequence[str], wanted: str, spec: str) -> str:
    if wanted:
        if wanted not in splits:
            raise InputError(f"{spec!r} has no split {wanted!r}; it has {listed(splits)}.{nearest(wanted, splits)}")
        return wanted
    if len(splits) == 1:
        return splits[0]
    for name in HELD_OUT:
        if name in splits:
            return name
    raise InputError(f"{spec!r} has several splits: {listed(splits)}; say which: ?split=NAME.")


@contextmanager
def _reached(name: str, revision: str, spec: str) -> Iterator[None]:
    """With the hub, or else with what its cache holds: datasets itself would knock for minutes."""
    before = datasets.config.HF_HUB_OFFLINE
    offline = before
    if not before:
        try:
            huggingface_hub.HfApi().dataset_info(name, revision=revision or None, timeout=TIMEOUT)
        except (huggingface_hub.errors.HfHubHTTPError, ValueError) as error:
            at = f" at revision {revision}" if revision else ""
            raise DataError(
                f"There is no folder {name!r}, and the Hugging Face hub gives no data set {name!r}{at}: "
                f"{first_line(error)}."
            ) from error
        except Exception:  # not reached, which its libraries say in ways of their own
            offline = True
    datasets.config.HF_HUB_OFFLINE = offline
    try:
        yield
    except DataError as error:
        if not offline:
            raise
        raise DataError(
            f"{spec!r} cannot be had: there is no folder {name!r}, the Hugging Face hub cannot be reached, and its "
            "cache does not hold the data set."
        ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = before


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the bars of datasets, which are for downloads."""
    before = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            datasets.enable_progress_bars()
