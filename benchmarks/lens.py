"""How fast the lens answers a slider: in the server, and in a browser from the slider's event to the changed picture.

    python benchmarks/lens.py --weights mobilenetv1_100_tf_224.safetensors

Without weights the network is random, which takes as long. The curve is measured beforehand, as it is for everybody
who moves a slider along it. The browser is Debian's Chromium, without a window; without one only the server is timed.
"""

import argparse
import itertools
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bandscope.lens.serve import served, sight_of
from bandscope.lens.session import Sight
from bandscope.lens.setting import Setting

MODEL = "timm:mobilenetv1_100?pad_type=same&mean=0.5&std=0.5&crop_pct=0.875"
SIZE = (500, 375)  # of the photograph
# Sets the slider as a hand does, and tells when the new picture has been painted.
MOVE = """
value => new Promise((resolve) => {
  const slider = document.querySelector("#radius input[type=range]");
  const stage = document.querySelector("#stage");
  const before = stage.querySelector(".filtered").src;
  const start = performance.now();
  const watch = new MutationObserver(() => {
    if (stage.querySelector(".filtered")?.src === before) return;
    watch.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
  });
  watch.observe(stage, { subtree: true, childList: true, attributes: true });
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
})
"""


def main() -> None:
    options = arguments()
    load = os.getloadavg()[0]
    photograph = Path(options.image) if options.image else noise()
    weights = f"&weights={options.weights}" if options.weights else "&pretrained=false"
    sight = sight_of(MODEL + weights, None, image=str(photograph), threads=options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, load {load:.1f} before; {options.moves} moves\n")
    print(f"{'':<46}{'median ms':>10}{'p95 ms':>10}")
    with served(sight) as page:
        tell("server: pictures, top 5, chart as HTML", [*in_server(sight, options.moves)])
        if browser := next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None):
            tell("browser: slider's event to painted picture", [*in_browser(browser, page.address, options.moves)])


def radii(moves: int) -> Iterator[int]:
    """Never the same one twice in a row."""
    return itertools.islice(itertools.cycle(range(5, 105, 7)), moves)


def in_server(sight: Sight, moves: int) -> Iterator[float]:
    for radius in (5, 10):  # warm-up, and the curve
        setting = Setting("low_pass", high=radius)
        sight.see(sight.first, setting, "benchmark")
        sight.trace(sight.first, setting, "benchmark")
    for radius in radii(moves):
        start = time.perf_counter()
        sight.see(sight.first, Setting("low_pass", high=radius), "benchmark")
        yield 1e3 * (time.perf_counter() - start)


def in_browser(browser: str, address: str, moves: int) -> Iterator[float]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        page = opened.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{address}?low_pass=150")
        page.wait_for_selector("#chart polyline", state="attached", timeout=120_000)
        for radius in (40, 80, 120):
            page.evaluate(MOVE, radius)
        for radius in radii(moves):
            page.wait_for_timeout(150)  # a move of its own, not one of a drag
            yield page.evaluate(MOVE, radius)
        opened.close()


def tell(name: str, milliseconds: list[float]) -> None:
    print(f"{name:<46}{statistics.median(milliseconds):>10.0f}{np.percentile(milliseconds, 95):>10.0f}", flush=True)


def noise() -> Path:
    """A picture that compresses as badly as any."""
    path = Path(os.environ.get("TMPDIR", "/tmp")) / "bandscope-lens-benchmark.png"
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="of MobileNetV1 1.0 at 224")
    parser.add_argument("--image", help="a photograph; by default noise of 500 x 375 pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--moves", type=int, default=60)
    return parser.parse_args()


if __name__ == "__main__":
    main()
