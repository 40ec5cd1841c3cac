"""Which model output is right for which class of a data set: by what both say, never by luck."""

import difflib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from bandscope.datasets.csv_rows import read_rows
from bandscope.datasets.names import listed, normalised
from bandscope.datasets.outputs import Kind, Outputs, is_number, only
from bandscope.errors import DataError, InputError, nearest
from bandscope.labels import ClassLabel

WAYS = ("auto", "wnid", "name", "index")
NONE = -1
KINDS: tuple[Kind, ...] = ("class", "wnid", "index", "name")

Found = list[int]  # for each class of the data an output, or NONE


def match_labels(
    data_classes: Sequence[ClassLabel],
    model_classes: Sequence[ClassLabel] | None,
    n_outputs: int,
    *,
    labels_csv: str | os.PathLike[str] | None = None,
    by: str = "auto",
) -> Int32[np.ndarray, " classes"]:
    """For each class of a data set the index of the model output that is right.

    - "wnid": equal WordNet ids. 1000 outputs without names, or with ImageNet-1k's names, have ImageNet-1k's ids.
    - "name": equal names, up to case, underscores and hyphens, and only the first synonym before a comma. A name that
      two outputs share ("crane", "maillot") matches only where the ids tell them apart.
    - "index": classes named "0", "1" ... are those outputs; other classes are outputs in their own order.
    - "auto": the first of wnid and name that matches every class; then index, where there are as many classes
      as outputs and either the classes are named "0", "1" ... or the model does not name its outputs.

    Args:
        data_classes: the data set's classes.
        model_classes: one label an output, or None where the model does not know them.
        n_outputs: number of outputs.
        labels_csv: a CSV that decides alone. First column: class of the data, by name or WordNet id; second column:
            model output, by index, WordNet id or name. Rows of classes that the data do not have, such as a
            header, are passed over. Comma, semicolon or tab. Several classes may share an output.
        by: "auto", "wnid", "name" or "index".

    Raises:
        InputError: `by` is unknown, or given together with `labels_csv`, or names do not fit `n_outputs`.
        DataError: classes that match no output (listed), or a CSV that cannot be read or used.
    """
    _check(model_classes, n_outputs, labels_csv, by)
    outputs = Outputs.of(model_classes, n_outputs)
    if labels_csv is not None:
        return _complete(data_classes, outputs, _by_csv(data_classes, outputs, Path(labels_csv)), f"in {labels_csv}")
    ways = [by] if by != "auto" else _ways_without_luck(data_classes, outputs)
    tried = [_BY[way](data_classes, outputs) for way in ways]
    best = min(tried, key=lambda found: found.count(NONE))  # the first of the best
    return _complete(data_classes, outputs, best, f"by {' or '.join(ways)}")


def _check(
    model_classes: Sequence[ClassLabel] | None, n_outputs: int, labels_csv: str | os.PathLike[str] | None, by: str
) -> None:
    if by not in WAYS:
        raise InputError(f"Labels cannot be matched by {by!r}; allowed: {', '.join(WAYS)}.{nearest(by, WAYS)}")
    if labels_csv is not None and by != "auto":
        raise InputError(f"Labels are matched by {by!r} or by the CSV {str(labels_csv)!r}, not by both.")
    if model_classes is not None and len(model_classes) != n_outputs:
        raise InputError(f"The model has {n_outputs} outputs but {len(model_classes)} class names.")


def _ways_without_luck(data: Sequence[ClassLabel], outputs: Outputs) -> list[str]:
    return ["wnid", "name", "index"] if _index_is_safe(data, outputs) else ["wnid", "name"]


def _index_is_safe(data: Sequence[ClassLabel], outputs: Outputs) -> bool:
    names = [label.name for label in data]
    if len(names) == outputs.n and all(map(is_number, names)):
        return sorted(map(int, names)) == list(range(outputs.n))
    return len(names) == outputs.n and not outputs.named


def _by_wnid(data: Sequence[ClassLabel], outputs: Outputs) -> Found:
    return [_or_none(outputs.of_wnid.get(label.wnid, ())) for label in data]


def _by_name(data: Sequence[ClassLabel], outputs: Outputs) -> Found:
    return _unique([_or_none(_namesakes(label, outputs)) for label in data])


def _namesakes(label: ClassLabel, outputs: Outputs) -> list[int]:
    """Outputs of the same name, without those whose WordNet id says that they are something else."""
    found = outputs.of_name.get(normalised(label.name), ())
    return [i for i in found if not label.wnid or outputs.wnids.get(i, label.wnid) == label.wnid]


def _by_index(data: Sequence[ClassLabel], outputs: Outputs) -> Found:
    named_by_number = all(is_number(label.name) for label in data)
    indices = [int(label.name) if named_by_number else position for position, label in enumerate(data)]
    return _unique([index if index < outputs.n else NONE for index in indices])


def _or_none(found: Sequence[int]) -> int:
    output = only(found)
    return NONE if output is None else output


def _unique(found: Found) -> Found:
    """No output for classes that would share one: at most one of them could be right."""
    times = Counter(found)
    return [output if times[output] == 1 else NONE for output in found]


_BY: Mapping[str, Callable[[Sequence[ClassLabel], Outputs], Found]] = {
    "wnid": _by_wnid,
    "name": _by_name,
    "index": _by_index,
}


def _by_csv(data: Sequence[ClassLabel], outputs: Outputs, path: Path) -> Found:
    positions = _positions(data)
    found = [NONE] * len(data)
    for line, (name, text, *_) in read_rows(path):
        for position in positions.get(name) or positions.get(normalised(name)) or ():
            output = outputs.find(text)
            if output is None:
                raise DataError(
                    f"Line {line} of {str(path)!r}: the model has no output {text!r}.{outputs.hint(text)}"
                )
            if found[position] not in (NONE, output):
                raise DataError(f"Line {line} of {str(path)!r} gives {name!r} a second output, {text!r}.")
            found[position] = output
    return found


def _positions(data: Sequence[ClassLabel]) -> dict[str, list[int]]:
    """Which classes a text in a CSV means: by exact name or id all of them, by loose spelling only a single one."""
    exact: dict[str, list[int]] = defaultdict(list)
    loose: dict[str, list[int]] = defaultdict(list)
    for position, label in enumerate(data):
        for text in {label.name, label.wnid} - {""}:
            exact[text].append(position)
        loose[normalised(label.name)].append(position)
    return {**{text: found for text, found in loose.items() if len(found) == 1}, **exact}


def _complete(data: Sequence[ClassLabel], outputs: Outputs, found: Found, how: str) -> Int32[np.ndarray, " classes"]:
    missing = [label for label, output in zip(data, found, strict=True) if output == NONE]
    if not missing:
        return np.array(found, dtype=np.int32)
    known = "" if outputs.named else f" The model does not name its {outputs.n} outputs."
    raise DataError(
        f"{len(missing)} of {len(data)} classes of the data match no model output {how}: "
        f"{listed([_full_name(label) for label in missing])}.{_nearest_names(missing, outputs)}{known} "
        "Rename the classes, give a CSV with rows `data class,model output`, or match by index if the data's classes "
        "are in the order of the model's outputs."
    )


def _full_name(label: ClassLabel) -> str:
    return label.name if label.wnid in ("", label.name) else f"{label.wnid} {label.name}"


def _nearest_names(missing: Sequence[ClassLabel], outputs: Outputs) -> str:
    pairs = [
        f"{label.name!r} -> {close[0]!r}"
        for label in missing[:10]
        if (close := difflib.get_close_matches(normalised(label.name), outputs.of_name, n=1, cutoff=0.75))
    ]
    return f" Nearest outputs: {', '.join(pairs)}." if pairs else ""


def read_groups(path_csv: str | os.PathLike[str], model_classes: Sequence[ClassLabel]) -> dict[int, str]:
    """Groups of model outputs from a CSV: output index to name of the group.

    Without a header: two columns, the class (output index, WordNet id or name) and its group. With a header: a
    column `group`, and one of `class`, `wnid`, `index` or `name`; the first of these that the model knows is used.
    Outputs that are not in the file belong to no group.

    Raises:
        DataError: the file cannot be read, or has no such columns, no group in a row, classes that the model does
            not have (listed), or a class in two groups.
    """
    path = Path(path_csv)
    outputs = Outputs.of(model_classes, len(model_classes))
    groups: dict[int, str] = {}
    unknown = []
    for line, kind, name, group in _group_rows(path, outputs):
        output = outputs.find(name, kind)
        if output is None:
            unknown.append(name)
        elif not group or groups.setdefault(output, group) != group:
            said = f"puts {name!r} in {group!r} and in {groups[output]!r}" if group else f"has no group for {name!r}"
            raise DataError(f"Line {line} of {str(path)!r} {said}.")
    if unknown:
        raise DataError(
            f"{str(path)!r} names classes that the model lacks: {listed(unknown)}.{outputs.hint(unknown[0])}"
        )
    if not groups:
        raise DataError(f"There are no groups in {str(path)!r}; expected rows `class,group`.")
    return groups


def _group_rows(path: Path, outputs: Outputs) -> Iterator[tuple[int, Kind, str, str]]:
    """(line, what the class is given by, class, group) of every row."""
    rows = read_rows(path)
    header = [cell.lower() for cell in rows[0][1]] if rows else []
    if "group" not in header:
        yield from ((line, "class", cells[0], cells[1]) for line, cells in rows)
        return
    kind = next((kind for kind in KINDS if kind in header and (kind != "wnid" or outputs.of_wnid)), None)
    if kind is None:
        raise DataError(f"{str(path)!r} has columns {listed(header)}; expected `group` and {', '.join(KINDS)}.")
    column, group = header.index(kind), header.index("group")
    for line, cells in rows[1:]:
        if len(cells) <= max(column, group):
            raise DataError(f"Line {line} of {str(path)!r} has {len(cells)} columns, its header {len(header)}.")
        yield line, kind, cells[column], cells[group]
