"""What is looked at in a .pt2 archive before PyTorch opens it.

`torch.export.load` trusts its file: it unpickles what is a pickle, evaluates the text of symbolic shapes, and makes
Python code of the names in a graph. So anything but plain tensors, plain operators and plain names is refused here.
"""

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch

from bandscope.errors import ModelError, first_line

FORMAT = "archive_format"
GRAPH = "models/model.json"
EXAMPLE = "data/sample_inputs/model.pt"  # a pickle of tensors
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
NEEDED = (GRAPH, EXAMPLE, *CONFIGS)
TENSOR_FILES = re.compile(r"data/(weights/weight_|constants/tensor_)\d+")
OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|torchvision|higher_order)\.\w+(\.\w+)?|torch\.sym_\w+|(_operator|math)\.\w+"
)
FILE_OPERATORS = re.compile(r"torch\.ops\.aten\.(from_file|save)\b")
CODE = re.compile(r"[()=;\n\r]")  # without these, no name can become a call, an assignment or a statement
FUNCTIONS = re.compile(r"[A-Z]\w*|floor|ceiling")  # in sizes, such as Add(Symbol('s0', integer=True), Integer(1))
PLAIN = (
    ast.Expression,
    ast.Name,
    ast.Load,
    ast.Constant,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.Call,
    ast.keyword,
)
SIGNS = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
IMPORTS = re.compile(r"defaultdict|__enum__|\\u")  # in how inputs and outputs nest: these name modules to import
NOTES = {("", "guards_code"), ("nodes", "metadata"), ("graph_module", "metadata")}  # not used; names can be anything


def check_archive(file: IO[bytes], path: Path) -> None:
    """Refuse what is not a program of torch.export made of plain tensors, operators and names alone.

    Args:
        file: the open archive; left at its start.
        path: its name, for the errors.

    Raises:
        ModelError: saying what is wrong with it.
    """
    try:
        archive = torch._C.PyTorchFileReader(file)  # PyTorch's own, as two readers may see two archives in a file
        _check_members(archive, _members(archive, file), path)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: its archive cannot be made sense of ({error})") from error
    except (RuntimeError, zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"{path} is not a readable .pt2 archive of torch.export: {first_line(error)}") from error
    file.seek(0)


def _members(archive: torch._C.PyTorchFileReader, file: IO[bytes]) -> list[str]:
    """The names below the archive's root folder; PyTorch falls back on Python's reader, which must see the same."""
    names = archive.get_all_records()
    if len(set(names)) != len(names):
        raise ValueError("a name occurs twice")
    with zipfile.ZipFile(file) as again:
        if sorted(names) != sorted(name.partition("/")[2] for name in again.namelist()):
            raise ValueError("it has two lists of contents")
    return names


def _check_members(archive: torch._C.PyTorchFileReader, names: list[str], path: Path) -> None:
    if FORMAT not in names or archive.get_record(FORMAT) != b"pt2":
        raise ModelError(
            f"{path} is no .pt2 archive: TorchScript, a pickle, or a program saved by an old PyTorch; "
            "make it with torch.export.save of PyTorch 2.9 or newer"
        )
    if compiled := [name for name in names if name.startswith("data/aotinductor/")]:
        raise ModelError(f"{path} holds compiled code ({compiled[0]}): only programs of torch.export.save are opened")
    if odd := [name for name in names if not _is_expected(name)]:
        raise ModelError(f"{path} is refused: {odd[0]} is no part of a program of plain tensors, and could run code")
    if lacking := [name for name in NEEDED if name not in names]:
        raise ModelError(f"{path} lacks {lacking[0]}: it holds no program of torch.export.save, or is damaged")
    _check_tensors(archive, path)
    _check_graph(json.loads(archive.get_record(GRAPH)), path)


def _is_expected(name: str) -> bool:
    """Whether PyTorch may find a member: it opens all that is in these folders, whatever the case of its name."""
    inside = name.lower().startswith(("data/", "models/"))
    return not inside or name in NEEDED or bool(TENSOR_FILES.fullmatch(name))


def _check_tensors(archive: torch._C.PyTorchFileReader, path: Path) -> None:
    for config in CONFIGS:
        for name, facts in json.loads(archive.get_record(config))["config"].items():
            if facts["use_pickle"]:
                raise ModelError(f"{path} is refused: its tensor {name!r} is a pickle, which could run code")
    try:
        torch.load(io.BytesIO(archive.get_record(EXAMPLE)), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails with anything
        raise ModelError(
            f"{path} is refused: its example inputs are damaged, or no plain tensors, and could run code"
        ) from error


def _check_graph(program: Any, path: Path) -> None:
    for key, text in _texts(program):
        if key == "expr_str":
            safe = _is_arithmetic(text)
        elif key in ("target", "as_operator") and text.startswith(("torch", "_operator", "math", "#")):
            safe = bool(OPERATORS.fullmatch(text)) and not FILE_OPERATORS.match(text)
        elif key in ("in_spec", "out_spec"):
            safe = not IMPORTS.search(text)
        else:
            safe = not CODE.search(text)
        if not safe:
            raise ModelError(f"{path} is refused: its {key} {text[:80]!r} is not what an image classifier is made of")


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(key, text) of every text that PyTorch makes something of; notes and guards are not used."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield key, name
            if (key, name) not in NOTES:
                yield from _texts(item, name)


def _is_arithmetic(text: str) -> bool:
    """Whether an expression is numbers, names and the functions of symbolic sizes."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return False
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return (
        all(isinstance(node, (*PLAIN, *SIGNS)) for node in ast.walk(tree))
        and all(isinstance(function, ast.Name) and FUNCTIONS.fullmatch(function.id) for function in called)
        and all(isinstance(value, int | float) or str(value).isidentifier() for value in values)
    )
