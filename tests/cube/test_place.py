"""Where a store can be: paths, URLs, and what is refused before any work."""

import sys
from pathlib import Path

import fsspec.registry  # noqa: F401
import pytest

from bandscope import cube
from bandscope.cube.place import Folder, growing, place_of
from bandscope.cube.verify import verify
from bandscope.errors import StoreError


def test_paths_and_file_urls_are_folders(tmp_path):
    assert place_of("a/b.zarr") == Folder(Path("a/b.zarr"))
    assert place_of(Path("a/b.zarr")) == place_of("a/b.zarr")
    assert place_of(f"file://{tmp_path}/b.zarr") == Folder(tmp_path / "b.zarr")
    assert place_of("memory://b.zarr") != place_of("b.zarr")
    assert place_of(place := place_of("memory://b.zarr")) is place


def test_a_place_knows_its_name_and_what_is_beside_it():
    for where, above in (("memory://x/y/a.b.zarr/", "memory://x/y"), ("y/a.b.zarr", "y")):
        place = place_of(where)
        assert (place.name, place.stem, place.around) == ("a.b.zarr", "a.b", "y")
        assert str(growing(place)) == f"{above}/.a.b.zarr.extending"
        assert place_of(f"{above}/.a.b.zarr.extending") == growing(place)
    assert place_of("memory://a.zarr").outputs == Path()
    assert place_of("y/a.zarr").outputs == Path("y")


@pytest.mark.parametrize("where", ["memory://place/a.zarr", "a.zarr"])
def test_files_are_there_or_not(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    place = place_of(where)
    assert place.vacant()
    if isinstance(place, Folder):
        place.path.mkdir()
    place.write("x/1", b"one")
    place.write("x/2", b"")
    place.write("x/1", b"two")
    assert place.exists()
    assert not place.vacant()
    assert not place.claimed()
    assert place.listed("x") == ["x/1", "x/2"]
    assert [*place.read_all(["x/2", "x/3", "x/1", "x"])] == [b"", None, b"two", None]
    assert (place.has("x/2"), place.has("x/3"), place.has("x")) == (True, False, False)
    place.remove("x/2")
    place.remove("x/2")
    with pytest.raises(FileNotFoundError):
        place.read("x/2")
    assert place.listed("nothing") == []
    place.discard()
    assert not place.exists()


def test_what_is_no_place_for_a_store():
    for where, said in {
        "memory://": "give it a name",
        "memory://a*.zarr": "have a meaning in URLs",
        "nowhere://b/a.zarr": "Protocol not known: nowhere",
    }.items():
        with pytest.raises(StoreError, match=said):
            place_of(where)
    with pytest.raises(StoreError, match="loses a slash; give it as text"):
        place_of(Path("memory://a.zarr"))
    with pytest.raises(StoreError, match=r"is on disk and takes no storage options \(token\)"):
        cube.open("a.zarr", {"token": "x"})


@pytest.mark.parametrize(
    ("scheme", "install"), [("s3", r"'bandscope\[remote\]'"), ("gs", "gcsfs"), ("abfs", "adlfs")]
)
def test_a_missing_package_is_one_clear_error(monkeypatch, scheme, install):
    for name in ("s3fs", "gcsfs", "adlfs"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    with pytest.raises(StoreError, match=rf"^{scheme}://b/a\.zarr needs a package .*: pip install {install}\.$"):
        verify(f"{scheme}://b/a.zarr")
