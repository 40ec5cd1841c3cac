"""`export:FILE.pt2`: a network as a program of torch.export, which needs none of the code it was written in."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from bandscope.classifiers.base import ClassifierFacts
from bandscope.classifiers.file_models import Input, file_hash, find_file, fitted_preprocess, in_pieces
from bandscope.classifiers.metadata import KEY, Metadata, read_metadata, write_metadata
from bandscope.classifiers.pt2_archive import check_archive
from bandscope.classifiers.request import Request
from bandscope.errors import InputError, ModelError, first_line
from bandscope.files import write_whole
from bandscope.labels import ClassLabel
from bandscope.preprocess import IMAGE_MODES, Preprocess

CPU = torch.device("cpu")


@dataclass(repr=False)
class ExportedClassifier(ClassifierFacts):
    """A program of torch.export: see `Classifier` for the fields."""

    spec: str
    preprocess: Preprocess
    classes: tuple[ClassLabel, ...] | None
    provenance: Mapping[str, Any]
    program: ExportedProgram = field(repr=False)
    taken: Input
    device: torch.device = field(default=CPU, init=False)

    def __post_init__(self) -> None:
        self._module = _module(self.program)

    def prepare(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move the program to `device`.

        Raises:
            InputError: `dtype` is not float32: a program has its own precision.
            ModelError: it cannot run on `device`.
        """
        if dtype != torch.float32:
            raise InputError("an exported program has its own precision: use float32 and export it in another")
        if device == self.device:
            return
        self.program = _moved(self.program, device, self.spec)
        self.device, self._module = device, _module(self.program)

    def logits(self, batch: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"]:
        """Raw scores, float32; a program of fixed batch size runs in pieces, the last one padded.

        Raises:
            ModelError: the output is not one row of scores an image.
        """
        with torch.inference_mode():
            return in_pieces(self._run, batch.to(self.taken.dtype).contiguous(), self.taken)

    def _run(self, images: torch.Tensor) -> Any:
        return self._module(**{self.taken.name: images}) if self.taken.name else self._module(images)


def load_exported(request: Request) -> ExportedClassifier:
    """Read a program; preprocessing and classes come from its extra file "bandscope" or the caller.

    Raises:
        ModelError: the file is missing, damaged, could run code or is no image classifier, or nobody says how images
            are prepared.
        InputError: weights or options are given: a program holds both.
    """
    path = find_file(request, "exported")
    program, text = _read(path)
    recorded, taken = read_metadata(text, path), _input(program, path)
    return ExportedClassifier(
        spec=request.spec.text,
        preprocess=fitted_preprocess(request, recorded.preprocess, taken),
        classes=request.classes or recorded.classes,
        provenance=_provenance(path, program),
        program=_moved(program, CPU, request.spec.text),
        taken=taken,
    )


def save_exported(
    path: str | Path, program: ExportedProgram, *, preprocess: Preprocess, classes: Sequence[ClassLabel] | None
) -> None:
    """Write a program of `torch.export.export` with all that `load_classifier("export:PATH")` needs to use it.

    Args:
        path: ends in .pt2; appears only once it is complete.
        program: takes one batch of images, gives logits; a free batch size lets it run whole batches at once.
        preprocess: how its images are prepared.
        classes: one label an output, or None.

    Raises:
        InputError: the path does not end in .pt2.
        ModelError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".pt2":
        raise InputError(f"an exported program's path must end in .pt2; given: {path}")
    text = write_metadata(Metadata(None, preprocess, tuple(classes) if classes else None))

    def write(draft: Path) -> None:
        with draft.open("wb") as file:  # given a path, PyTorch writes its name into the file, and so into its hash
            torch.export.save(program, file, extra_files={KEY: text})

    try:
        write_whole(path, write, "the exported program", ModelError)
    except RuntimeError as error:  # what PyTorch makes of errors of the disk
        raise ModelError(f"the exported program {path} cannot be written: {first_line(error)}.") from error


def _read(path: Path) -> tuple[ExportedProgram, str]:
    """The program, and the text of its metadata; one open file, so that what was checked is what is loaded."""
    extra = {KEY: ""}
    try:
        with path.open("rb") as file:
            check_archive(file, path)
            with _silent():
                return torch.export.load(file, extra_files=extra), extra[KEY]
    except ModelError:
        raise
    except Exception as error:  # a damaged archive fails with anything, as do operators that this PyTorch lacks
        raise ModelError(f"{path} cannot be loaded as a program of torch.export: {first_line(error)}") from error


@contextmanager
def _silent() -> Iterator[None]:
    """Without the tracebacks that torch.export logs on its way to an error."""
    logs = [logging.getLogger(name) for name in ("torch.export", "torch.export.pt2_archive._package")]
    before = [log.disabled for log in logs]
    for log in logs:
        log.disabled = True
    try:
        yield
    finally:
        for log, disabled in zip(logs, before, strict=True):
            log.disabled = disabled


def _input(program: ExportedProgram, path: Path) -> Input:
    """The program's only input, which must be a batch of images in NCHW order.

    Raises:
        ModelError: saying what it is instead.
    """
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise ModelError(f"{path} takes {len(names)} inputs, not one batch of images")
    value = next((node.meta["val"] for node in program.graph.nodes if node.name == names[0]), names[0])
    if not isinstance(value, torch.Tensor) or value.ndim != 4 or not value.is_floating_point():
        shown = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else repr(value)
        raise ModelError(f"{path} takes {shown}, not floats of shape (n, c, h, w)")
    channels, height, width = (side if isinstance(side, int) else None for side in value.shape[1:])
    if channels not in (None, *IMAGE_MODES):
        raise ModelError(
            f"{path} takes {channels} channels (input {tuple(value.shape)}); allowed: 1 or 3, in NCHW order"
        )
    least, most = _range(program, value.shape[0])
    return Input(_keyword(program), value.dtype, least, most, channels, height, width)


def _range(program: ExportedProgram, size: Any) -> tuple[int, int | None]:
    """How many images a batch may have, at least and at most."""
    if isinstance(size, int):
        return size, size
    allowed = program.range_constraints.get(size.node.expr)
    least, most = (allowed.lower, allowed.upper) if allowed else (1, None)
    return max(int(least), 1), int(most) if most is not None and most.is_Integer else None


def _keyword(program: ExportedProgram) -> str:
    """The name by which the input must be given; "" where it is given by position."""
    spec = program.call_spec.in_spec
    keywords = spec.children()[1].context if spec is not None else None
    return str(keywords[0]) if keywords else ""


def _moved(program: ExportedProgram, device: torch.device, text: str) -> ExportedProgram:
    try:
        return move_to_device_pass(program, str(device))
    except Exception as error:  # PyTorch's errors about devices have no common base
        raise ModelError(f"{text} cannot be moved to {device}: {first_line(error)}") from error


def _module(program: ExportedProgram) -> Any:
    """What can be called; without its guards, which are code as text."""
    if "check_guards" not in signature(program.module).parameters:
        raise ModelError(f"exported programs need PyTorch 2.9 or newer; this is {torch.__version__}")
    return program.module(check_guards=False)


def _provenance(path: Path, program: ExportedProgram) -> dict[str, Any]:
    return {
        "library": "torch.export",
        "versions": {"torch": str(torch.__version__)},
        "source": f"file {path}",
        "weights_sha256": file_hash(path),
        "parameters": sum(parameter.numel() for parameter in program.parameters()),
    }
