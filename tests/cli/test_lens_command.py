"""`bandscope lens`: what is refused before anything is served, and a page served until it is told to end."""

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from bandscope.cli.lens import images_of
from bandscope.cli.main import main

MODULES = ("bandscope.lens.page", "bandscope.lens.theme")


def refused(*arguments: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["lens", *arguments, "--no-browser"])
    assert code == 1, out.getvalue()
    return re.sub(r"\s+", " ", err.getvalue())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["timm:resnet5"], "resnet5"),
        (["tim:resnet50"], "Did you mean 'timm'?"),
        (["planted", "folder:nowhere"], "nowhere"),
        (["planted", "folders:x"], "not a known image set"),
        (["--low-pass", "3", "--high-pass", "4"], "one filter"),
        (["--band-pass", "16-8"], "16 to 8"),
        (["--band-pass", "60-80"], "holds nothing"),
        (["--zoom", "9"], "0.25 to 4"),
        (["--family", "square", "--low-pass", "3"], "No filter family 'square'"),
        (["--convention", "zhang"], "Did you mean 'zhang2023'?"),
        (["--image", "no such image"], "There is no image 'no such image'"),
        (["--input-size", "100000"], "at most 16384"),
        (["--threads", "0"], "threads=0"),
        (["--host", "256.0.0.1"], "cannot listen on 256.0.0.1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_in_a_sentence(arguments: list[str], says: str) -> None:
    said = refused(*arguments)
    assert said.startswith("Error: ")
    assert says in said


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1, port {port}: " in refused("--port", str(port))


def test_without_gradio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert "pip install 'bandscope[lens]'" in refused()


def test_images_to_choose_from() -> None:
    assert images_of("planted", None) == "planted"
    assert images_of("planted?mean=0.5", None) == "planted"
    assert images_of("timm:resnet50", None) is None
    assert images_of("planted", "folder:x") == "folder:x"


def test_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "bandscope", "lens", "--no-browser", "--low-pass", "9", "--image", "3"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = next(line for line in process.stdout or () if line.startswith("Lens"))
            address = said.split()[1]
            assert address.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(address) as page:
                assert b"bandscope lens" in page.read()
            assert [path.name for path in tmp_path.iterdir() if path.name.startswith("bandscope-lens-")]
        finally:
            process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("bandscope-lens-")]
