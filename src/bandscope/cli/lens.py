"""`bandscope lens`: a page in the browser, served as long as the command runs."""

import ipaddress
import signal
import sys
import threading
import warnings
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

from rich.console import Console

from bandscope.cli.parsing import parse_overrides
from bandscope.conventions import Convention
from bandscope.lens.serve import Open, served, sight_of

EMBEDDED = "planted"


@dataclass(frozen=True)
class Options:
    """The command's options; the dictionaries hold what is passed on by name."""

    model: str
    data: str | None
    image: str | None
    start: Mapping[str, str | float | None]
    convention: str
    convention_changes: dict[str, Any]
    preprocess_changes: dict[str, str | float | None]
    settings: dict[str, Any]
    host: str
    port: int | None
    share: bool
    browser: bool


def run(options: Options, console: Console) -> None:
    """Serve the page until the process is interrupted or told to end.

    Raises:
        InputError, ModelError, DataError: before anything is served.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")  # on single images
    with console.status("The model and the page ..."):
        sight = sight_of(
            options.model,
            images_of(options.model, options.data),
            start={name: value for name, value in options.start.items() if value is not None},
            image=options.image,
            convention=Convention.named(options.convention, **options.convention_changes),
            overrides=parse_overrides(options.preprocess_changes) or None,
            **options.settings,
        )
    with served(sight, options.host, options.port, share=options.share) as page:
        _tell(page, options, console)
        if options.browser:
            webbrowser.open(page.address)
        _stay()


def images_of(model: str, data: str | None) -> str | None:
    """The images to choose from: those asked for; of the embedded model the embedded ones; else none."""
    return EMBEDDED if data is None and model.partition("?")[0] == EMBEDDED else data


def _tell(page: Open, options: Options, console: Console) -> None:
    console.print(f"Lens {page.address} (Ctrl+C ends it)", markup=False)
    if page.shared:
        console.print(f"For everybody who has the link {page.shared}", markup=False)
    if not _loopback(options.host):
        console.print(f"Listening on {options.host}: whoever reaches this machine can use the lens.", style="yellow")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _stay() -> None:
    """Until Ctrl+C, or until the process is told to end, which clears up as well."""

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
