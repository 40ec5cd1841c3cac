"""Weights from files, without ever running code from one; strict loading; a hash that names weights."""

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from bandscope.errors import ModelError

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".tar")
WRAPPERS = ("state_dict", "model")  # keys under which training scripts keep the state dict
PREFIXES = ("module.", "_orig_mod.")  # left by DataParallel and torch.compile
SHOWN = 3

State = Mapping[str, torch.Tensor]


def read_state(path: str | Path) -> dict[str, torch.Tensor]:
    """The state dict in a file, on the CPU.

    Args:
        path: a .safetensors file, or one of torch.save (.pt, .pth, .bin, .ckpt, .tar) with plain tensors: a state
            dict, or a dict that holds it under "state_dict" or "model". "module." prefixes are stripped.

    Raises:
        ModelError: the file is missing, damaged, of another kind, or a pickle that needs code.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ModelError(f"the weights file {path} does not exist")
    if path.suffix == ".safetensors":
        return _strip_prefixes(_read_safetensors(path))
    if path.suffix in PICKLES:
        return _strip_prefixes(_find_state(_read_pickle(path), path))
    raise ModelError(f"weights must be .safetensors or {', '.join(PICKLES)}; given: {path}")


def load_state(module: nn.Module, state: State, source: str | Path) -> None:
    """Copy `state` into `module`, strictly.

    Only `num_batches_tracked` may be missing: inference never reads it, and converted checkpoints leave it out.

    Raises:
        ModelError: with the missing, unexpected and wrong-shape keys.
    """
    own = {name: value for name, value in module.state_dict().items() if isinstance(value, torch.Tensor)}
    missing = [n for n in own if n not in state and not n.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    wrong = [
        f"{name} (file {list(state[name].shape)}, network {list(value.shape)})"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": wrong}
    if any(found.values()):
        parts = "; ".join(listed(what, names) for what, names in found.items() if names)
        raise ModelError(f"the weights in {source} do not fit {type(module).__name__}: {parts}")
    module.load_state_dict(state, strict=False)


def weights_hash(state: Mapping[str, Any]) -> str:
    """SHA-256 over the sorted names, types, shapes and bytes of a state dict's tensors."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
            digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(value: torch.Tensor) -> bytes:
    return value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a readable safetensors file: {error}") from error


def _read_pickle(path: Path) -> Any:
    """What torch.load makes of it; its own words are left out, as they recommend to load without the check."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what makes it a file that is refused anyway
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} is refused: it is damaged, or a pickle with more than plain tensors, which could run code; "
            "save its state dict as .safetensors"
        ) from error
    except Exception as error:  # a damaged pickle fails with anything, from KeyError to struct.error
        raise ModelError(
            f"{path} is not a readable torch.save file of plain tensors (damaged, TorchScript, or too old a format); "
            "save its state dict as .safetensors"
        ) from error


def _find_state(content: Any, path: Path) -> dict[str, torch.Tensor]:
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"{path} holds no state dict: a {type(content).__name__}")
    if odd := [str(name) for name, value in content.items() if not isinstance(value, torch.Tensor)]:
        raise ModelError(f"{path} holds no plain state dict: {listed('not tensors', odd)}")
    return dict(content)


def _strip_prefixes(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            return _strip_prefixes({name.removeprefix(prefix): value for name, value in state.items()})
    return state


def listed(what: str, names: list[str]) -> str:
    """How many names there are of a kind, and the first few."""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:SHOWN])}{rest}"
