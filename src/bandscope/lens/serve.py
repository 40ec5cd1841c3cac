"""From specs to a page that is being served, on this machine alone unless told otherwise."""

import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bandscope.api import check_size
from bandscope.classifiers import load_classifier
from bandscope.conventions import Convention
from bandscope.datasets import load_source
from bandscope.engine.memory import keep_memory
from bandscope.engine.plan import Request, resolve_plan
from bandscope.errors import InputError, first_line
from bandscope.lens.session import Sight
from bandscope.lens.setting import MOST_ZOOM, Setting, read_parameters
from bandscope.lens.shelf import MOST_BYTES, Shelf
from bandscope.lens.view import Lens
from bandscope.probes import default_radii
from bandscope.spectral.grid import corner_radius

HOST, PORTS = "127.0.0.1", range(7860, 7960)
MOST_SESSIONS = 100
# Gradio sends nobody news of its use, and does not sum up all requests after each of them.
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
}


@dataclass(frozen=True)
class Open:
    """A page that is being served.

    Attributes:
        address: of the page.
        shared: its address for everybody; empty unless asked for.
    """

    address: str
    shared: str = ""


def sight_of(
    model: str,
    data: str | None,
    *,
    start: Mapping[str, Any] | None = None,
    image: str | None = None,
    convention: Convention | None = None,
    weights: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    labels: str | Path | None = None,
    match: str = "auto",
    device: str | None = None,
    threads: int | None = None,
) -> Sight:
    """Load and check everything.

    Args:
        model: a spec, as of `bandscope.audit`.
        data: a spec of images to choose from; None: none.
        start: what a page opens with, as in its address: {"low_pass": 20, "zoom": 2}; by default a low-pass at a
            quarter of the corner radius.
        image: what it opens with: a position or path in the image set, or an image file; by default the first one.
        convention: what a cut-off does.
        weights: as of `bandscope.audit`, like all that follow.
        overrides: of the preprocessing.
        labels: a CSV from the data's classes to the model's outputs.
        match: how the data's classes find outputs.
        device: of the classifier.
        threads: of the classifier.

    Raises:
        InputError, ModelError, DataError: saying what is wrong.
    """
    classifier = load_classifier(model, weights=weights, overrides=overrides)
    check_size(classifier.preprocess, MOST_ZOOM)
    usual = Setting("low_pass", high=float(round(corner_radius(*classifier.preprocess.size) / 4)))
    setting = read_parameters(start or {}, usual)[1].within(default_radii(classifier.preprocess.size)[-1])
    source = None if data is None else load_source(data)
    plan = resolve_plan(Request(batch_size=1, threads=threads, device=device), 1, classifier)
    lens = Lens(classifier, convention, torch.device(plan.device))
    shelf = Shelf() if source is None else Shelf.of(source, classifier.classes, lens.outputs, labels, match)
    return Sight(lens, shelf, setting, _first(shelf, image), plan.threads)


def _first(shelf: Shelf, image: str | None) -> str:
    """The key of the image to open with; a file that is not in the image set is taken for good."""
    if image is None:
        return "0" if len(shelf) else ""
    path = Path(image)
    try:
        return str(shelf.position(image))
    except InputError:
        if path.is_file():
            return shelf.take(path, keep=True)
        raise


@contextmanager
def served(sight: Sight, host: str = HOST, port: int | None = None, *, share: bool = False) -> Iterator[Open]:
    """Serve the page of a sight as long as the context lasts; whatever was given to it is then gone.

    Args:
        sight: what to show; it is closed at the end.
        host: the address to listen on; any but a loopback one lets others in.
        port: to listen on; None: the first free one from 7860 on.
        share: also make a public address, through Gradio's servers.

    Raises:
        InputError: Gradio is not installed, or one cannot listen there.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bandscope-lens-") as uploads,
        _environment(**QUIET, GRADIO_TEMP_DIR=uploads),
        keep_memory(),
    ):
        free = _free_port(host, (port,) if port else PORTS)
        page, look = _page(sight)
        try:
            yield _launched(page, host, free, share, look)
        finally:
            page.close(verbose=False)
            sight.close()


def _free_port(host: str, ports: Sequence[int]) -> int:
    """The first of the ports that one can listen on."""
    reason = ""
    for port in ports:
        try:
            with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
                return port
        except OSError as error:
            reason = first_line(error)
    tried = str(ports[0]) if len(ports) == 1 else f"{ports[0]} to {ports[-1]}"
    raise InputError(f"The lens cannot listen on {host}, port {tried}: {reason}. Choose another --port or --host.")


def _launched(page: Any, host: str, port: int, share: bool, look: Mapping[str, Any]) -> Open:
    _, address, shared = page.launch(
        server_name=host,
        server_port=port,
        share=share,
        prevent_thread_lock=True,
        quiet=True,
        max_file_size=MOST_BYTES,
        allowed_paths=[],
        state_session_capacity=MOST_SESSIONS,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        enable_monitoring=False,
        mcp_server=False,
        **look,
    )
    return Open(address, shared or "")


def _page(sight: Sight) -> tuple[Any, dict[str, Any]]:
    """The page, and what is said of its looks when it is launched."""
    try:
        from bandscope.lens.page import build
        from bandscope.lens.theme import looks
    except ImportError as error:
        raise InputError("The lens needs Gradio: pip install 'bandscope[lens]'.") from error
    return build(sight), looks()


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
