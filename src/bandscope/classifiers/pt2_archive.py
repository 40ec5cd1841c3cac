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

from bandscope.errors import ModelError

FORMAT = "archive_format"
GRAPH = "models/model.json"
EXAMPLE = "data/sample_inputs/model.pt"  # a pickle of tensors
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
TENSOR_FILES = re.compile(r"data/(weights/weight_|constants/tensor_)\d+")
OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|torchvision|higher_order)\.\w+(\.\w+)?|torch\.sym_\w+|(_operator|math)\.\w+"
)
FILE_OPERATORS = re.compile(r"torch\.ops\.aten\.(from_file|save)\b")
CODE = re.compile(r"[()=;\n]")  # without these, no name can become a call, an assignment or a statement
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


def check_archive(file: IO[bytes], path: Path) -> None:
    """Refuse what is not a program of torch.export made of plain tensors, operators and names alone.

    Args:
        file: the open archive; left at its start.
        path: its name, for the errors.

    Raises:
        ModelError: saying what is wrong with it.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _check_members(_members(archive), archive, path)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise ModelError(f"{path} is not a readable .pt2 archive of torch.export: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: its archive cannot be made sense of ({error})") from error
    file.seek(0)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The archive's files by their names below its root folder."""
    infos = archive.infolist()
    members = {info.filename.partition("/")[2]: info for info in infos}
    if len(members) != len(infos):
        raise ValueError("a name occurs twice")
    return members


def _check_members(members: dict[str, zipfile.ZipInfo], archive: zipfile.ZipFile, path: Path) -> None:
    if FORMAT not in members or archive.read(members[FORMAT]) != b"pt2":
        raise ModelError(
            f"{path} is no .pt2 archive: TorchScript, a pickle, or a program saved by an old PyTorch; "
            "make it with torch.export.save of PyTorch 2.9 or newer"
        )
    if compiled := [name for name in members if name.startswith("data/aotinductor/")]:
        raise ModelError(f"{path} holds compiled code ({compiled[0]}): only programs of torch.export.save are opened")
    if lacking := [name for name in (GRAPH, EXAMPLE, *CONFIGS) if name not in members]:
        raise ModelError(f"{path} lacks {lacking[0]}: it holds no program of torch.export.save, or is damaged")
    _check_tensors(members, archive, path)
    _check_graph(json.loads(archive.read(members[GRAPH])), path)


def _check_tensors(members: dict[str, zipfile.ZipInfo], archive: zipfile.ZipFile, path: Path) -> None:
    for name in members:
        if (
            name.startswith(("data/weights/", "data/constants/"))
            and name not in CONFIGS
            and not TENSOR_FILES.fullmatch(name)
        ):
            raise ModelError(f"{path} is refused: {name} is no plain tensor, and could run code")
    for config in CONFIGS:
        for name, facts in json.loads(archive.read(members[config]))["config"].items():
            if facts["use_pickle"]:
                raise ModelError(f"{path} is refused: its tensor {name!r} is a pickle, which could run code")
    try:
        torch.load(io.BytesIO(archive.read(members[EXAMPLE])), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails with anything
        raise ModelError(
            f"{path} is refused: its example inputs are damaged, or no plain tensors, and could run code"
        ) from error


def _check_graph(program: Any, path: Path) -> None:
    for key, text in _texts(program):
        if key == "expr_str":
            safe = _is_arithmetic(text)
        elif key == "target" and text.startswith(("torch", "_operator", "math", "#")):
            safe = bool(OPERATORS.fullmatch(text)) and not FILE_OPERATORS.match(text)
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
            if name not in ("metadata", "guards_code"):
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
