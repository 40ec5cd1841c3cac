"""Files that are there whole or not at all."""

import os
from pathlib import Path

import pandas as pd
import pytest

from bandscope.errors import ModelError, StoreError
from bandscope.files import write_bytes, write_csv, write_text, write_whole


def test_a_file_is_replaced_once_its_draft_is_whole(tmp_path):
    path, seen = tmp_path / "a.txt", []
    path.write_text("old")

    def write(draft: Path) -> None:
        draft.write_text("new")
        seen.append((path.read_text(), draft.suffix))

    write_whole(path, write)
    assert seen == [("old", ".txt")]
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    "stopped", [OSError(28, "No space left on device"), RuntimeError("odd"), KeyboardInterrupt()]
)
def test_what_stops_a_write_leaves_the_old_file_and_no_draft(tmp_path, stopped):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(draft: Path) -> None:
        draft.write_text("half")
        raise stopped

    with pytest.raises(ModelError if isinstance(stopped, OSError) else type(stopped)) as error:
        write_whole(path, write, "--out", ModelError)
    if isinstance(stopped, OSError):
        assert str(error.value) == f"--out {path} cannot be written: No space left on device."
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_texts_bytes_and_tables(tmp_path):
    write_text(tmp_path / "a", "ä")
    write_bytes(tmp_path / "b", b"\0")
    table = pd.DataFrame({"x": [1.5]})
    write_csv(tmp_path / "c.csv.gz", table)
    assert (tmp_path / "a").read_bytes() == "ä".encode()
    assert (tmp_path / "b").read_bytes() == b"\0"
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "c.csv.gz"), table)
    with pytest.raises(StoreError, match=r"none/a cannot be written: No such file"):
        write_text(tmp_path / "none" / "a", "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file_is_written_to(tmp_path):
    """As /dev/stdout is: there is nothing to be renamed onto."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "told")
    assert os.read(reader, 9) == b"told"
    os.close(reader)
