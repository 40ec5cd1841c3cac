"""`hf:ID`: image classifiers of transformers, from the Hugging Face hub or a folder."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bandscope.classifiers.hf_processors import read_processor, refusal
from bandscope.classifiers.names import timm_classes
from bandscope.classifiers.overrides import OVERRIDES, override
from bandscope.classifiers.provenance import describe_module
from bandscope.classifiers.request import Request, settle_preprocess, wants_pretrained
from bandscope.classifiers.torch_classifier import TorchClassifier
from bandscope.classifiers.weights import State, listed, read_state
from bandscope.errors import BandscopeError, InputError, ModelError, first_line, nearest
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess

try:
    import huggingface_hub
    import transformers
except ImportError as error:
    raise ModelError("Hugging Face models need transformers: pip install 'bandscope[hf]'") from error

OPTIONS = ("revision", "pretrained", "weights")
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
FILES = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "model.safetensors*",
    "model-*.safetensors",
)
TIMEOUT = 10  # seconds for the hub to answer whether there is such a model
UNNAMED = re.compile(r"LABEL_\d+")  # what transformers calls outputs that nobody named


class SwappedColours(nn.Module):
    """A network that wants BGR, given RGB."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: torch.Tensor) -> Any:
        """What the network gives."""
        return self.network(batch.flip(1))


def load_hf(request: Request) -> TorchClassifier:
    """Build the network with its published weights, none (`pretrained=false`) or those of a file.

    Weights are safetensors, and code that comes with a model is never run. Preprocessing is that of the model's
    image processor, and classes are its configuration's.

    Raises:
        ModelError: there is no such model, it is no image classifier, or its images are prepared in a way that a
            `Preprocess` cannot say.
        InputError: an option or override is unknown or out of range.
    """
    _check_options(request)
    pretrained = wants_pretrained(request)
    folder, source = _find(request)
    with _quietly():
        config = _config(request, folder)
        module = _network(request, config, folder if pretrained else None)
        preprocess, swapped = _preprocess(request, folder)
    if not pretrained:
        source = f"file {request.weights}" if request.weights is not None else "random"
    options = {**request.spec.options, "colours": "BGR"} if swapped else request.spec.options
    return TorchClassifier(
        module=SwappedColours(module) if swapped else module,
        spec=request.spec.text,
        preprocess=preprocess,
        classes=request.classes or _classes(config),
        provenance=describe_module(module, "transformers", source, options),
    )


def _check_options(request: Request) -> None:
    spec = request.spec
    for name in spec.options:
        if name not in OPTIONS:
            hint = nearest(name, (*OPTIONS, *OVERRIDES))
            raise InputError(f"{spec.text} has an unknown option {name!r}; allowed: {', '.join(OPTIONS)}.{hint}")


def _find(request: Request) -> tuple[Path, str]:
    """The folder of the model's files, downloaded where it is a hub's, and where they come from in words."""
    name, revision = request.spec.name, request.spec.options.get("revision")
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise InputError(f"{request.spec.text}: a folder has no revisions; leave revision={revision} out")
        return folder, f"folder {name}"
    if folder.exists() or not HUB_ID.fullmatch(name):
        raise ModelError(
            f"{request.spec.text} is neither a folder that exists nor an id of the hub, such as user/model"
        )
    found = _downloaded(name, revision, request.spec.text)
    return found, f"hub {name} at {found.name}"


def _downloaded(name: str, revision: str | None, text: str) -> Path:
    """The hub's files of a model, or what its cache holds: unasked, the hub's library knocks for minutes."""
    hub, offline = huggingface_hub, False
    try:
        hub.HfApi().model_info(name, revision=revision, timeout=TIMEOUT)
    except (hub.errors.HfHubHTTPError, ValueError) as error:
        at = f" at revision {revision}" if revision else ""
        raise ModelError(
            f"there is no folder {name}, and the Hugging Face hub gives no model {name}{at}: {first_line(error)}"
        ) from error
    except Exception:  # not reached, which its libraries say in ways of their own
        offline = True
    try:
        found = hub.snapshot_download(name, revision=revision, allow_patterns=list(FILES), local_files_only=offline)
    except Exception as error:  # a download fails in the ways of several libraries
        reason = (
            "cannot be reached, and its cache does not hold the model" if offline else f"fails: {first_line(error)}"
        )
        raise ModelError(
            f"{text} cannot be had: there is no folder {name}, and the Hugging Face hub {reason}"
        ) from error
    return Path(found)


def _config(request: Request, folder: Path) -> Any:
    try:
        return transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # a damaged file fails in many ways; a foreign kind of model too
        raise ModelError(
            f"{request.spec.text} is no model that transformers can build: {first_line(error)}"
        ) from error


def _network(request: Request, config: Any, folder: Path | None) -> nn.Module:
    """The network with the weights in `folder`, or those of a file, or random."""
    text = request.spec.text
    if folder is not None and not list(folder.glob("*.safetensors")):
        raise ModelError(
            f"{text} has no .safetensors weights; others are not loaded, as they can run code: convert them, or use "
            "?pretrained=false"
        )
    state = read_state(request.weights) if request.weights is not None else None
    try:
        network, report = _built(config, folder, state)
    except Exception as error:  # as above
        raise ModelError(f"{text} cannot be loaded as an image classifier: {first_line(error)}") from error
    if misfits := _misfits(report, strict=state is not None):
        weights = f"the weights in {request.weights}" if state else "its own weights"
        raise ModelError(f"{text}: {weights} do not fit {type(network).__name__}: {misfits}")
    return network


def _built(config: Any, folder: Path | None, state: State | None) -> tuple[nn.Module, Mapping[str, Any]]:
    """The network, and what transformers reports of its weights."""
    auto = transformers.AutoModelForImageClassification
    settings: dict[str, Any] = {"config": config, "dtype": torch.float32, "trust_remote_code": False}
    loading = {**settings, "use_safetensors": True, "output_loading_info": True, "ignore_mismatched_sizes": True}
    if folder is not None:
        return auto.from_pretrained(folder, **loading)  # type: ignore[no-any-return]
    network = auto.from_config(**settings)
    if state is None:
        return network, {}
    del loading["trust_remote_code"]  # the class is found already; it knows older names of weights too
    return type(network).from_pretrained(None, state_dict=state, **loading)  # type: ignore[no-any-return]


def _misfits(report: Mapping[str, Any], *, strict: bool) -> str:
    """What would stay random, and where it is `strict` also what the network has no place for."""
    untrained = "missing" if strict else "missing, as it was not trained to classify images"
    wrong = sorted(name for name, *_ in report.get("mismatched_keys", ()))
    found = {
        untrained: sorted({*report.get("missing_keys", ())} - {*wrong}),
        "of another shape": wrong,
        "unexpected": sorted(report.get("unexpected_keys", ())) if strict else [],
    }
    return "; ".join(listed(what, names) for what, names in found.items() if names)


def _preprocess(request: Request, folder: Path) -> tuple[Preprocess, bool]:
    """The caller's or the processor's, with the caller's overrides, and whether the network wants BGR."""
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)
    except Exception as error:  # as above
        own, swapped, reason = None, False, f"its image processor cannot be loaded: {first_line(error)}"
    else:
        own, swapped, reason = _own(processor)
    if request.preprocess is not None or own is not None:
        return override(request.preprocess or own, request.overrides or {}), swapped  # type: ignore[arg-type]
    try:
        return settle_preprocess(request, None), swapped
    except ModelError as error:
        raise ModelError(
            f"{request.spec.text}: {reason}; give all of input_size, crop_pct (or resize), mean and std, "
            "or a Preprocess"
        ) from error


def _own(processor: Any) -> tuple[Preprocess | None, bool, str]:
    """The processor's preprocessing and whether it swaps colours, or why it cannot be followed."""
    try:
        return *read_processor(processor), ""
    except BandscopeError as error:
        return None, bool(getattr(processor, "do_flip_channel_order", False)), refusal(processor, error)


def _classes(config: Any) -> tuple[ClassLabel, ...] | None:
    """The configuration's names, in the order of outputs; None where nobody named them."""
    names = [str(name) for _, name in sorted(config.id2label.items())]
    if sorted(config.id2label) != list(range(len(names))) or all(UNNAMED.fullmatch(name) for name in names):
        return None
    return timm_classes(len(names), {"label_names": names})


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the notes and bars of transformers: what matters in them is an error here."""
    log = transformers.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
