"""Disks: full, failing bit by bit, and read-only."""

import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from disturbed import (
    BLOCKS,
    SPEC,
    audit,
    bandscope,
    check_finished,
    check_readable,
    differing,
    finish,
    markers,
    ordinary,
)

import bandscope as bs
from bandscope.cube.verify import verify
from bandscope.errors import StoreError

PAGE = 4096


def mounted(folder: Path, *options: str) -> None:
    """Mount, or skip visibly where that is not allowed."""
    folder.mkdir(exist_ok=True)
    try:
        done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount here: {error}")
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A folder for a file system that a test mounts."""
    folder = tmp_path / "disk"
    yield folder
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def pages(store: Path) -> int:
    return sum(-(-file.stat().st_size // PAGE) for file in store.rglob("*") if file.is_file())


# ---- full


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_full_disk(small_disk, whole, share):
    mounted(small_disk, "-t", "tmpfs", "-o", f"size={int(share * pages(whole)) * PAGE}", "tmpfs")
    store = small_disk / "a.zarr"
    with pytest.raises(StoreError, match=r"is full\. Finished blocks are safe: free space and run the same command"):
        audit(store)
    done, before = check_readable(store, whole), markers(store)
    assert (done > 0) == (share > 0.4)
    assert store.exists() or [*small_disk.iterdir()] == []
    mounted(small_disk, "-o", "remount,size=64m")
    audit(store)
    check_finished(store, whole)
    assert {block: markers(store)[block] for block in before} == before


def test_a_disk_without_room_for_another_file(small_disk, whole):
    files = sum(1 for _ in whole.rglob("*"))
    mounted(small_disk, "-t", "tmpfs", "-o", f"size=64m,nr_inodes={files * 3 // 4}", "tmpfs")
    with pytest.raises(StoreError, match="is full"):
        audit(small_disk / "a.zarr")
    assert check_readable(small_disk / "a.zarr", whole) > 0
    mounted(small_disk, "-o", "remount,nr_inodes=100000")
    audit(small_disk / "a.zarr")
    check_finished(small_disk / "a.zarr", whole)


def within_limit(size: int, store: Path) -> None:
    """An audit whose files must stay below a size: what a quota or an old file system may ask for."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        audit(store)
    except StoreError as error:
        print(error)
        sys.exit(1)


def test_a_file_that_may_not_grow(tmp_path, whole):
    store = tmp_path / "a.zarr"
    chunks = [file for file in whole.rglob("c/**/*") if file.is_file() and not file.is_relative_to(whole / "source")]
    largest = max(file.stat().st_size for file in chunks)
    assert finish(within_limit, largest - 1, store, said=tmp_path / "said") == 1
    said = (tmp_path / "said").read_text()
    assert said == f"{store} cannot be written: File too large. Choose another --out.\n"
    check_readable(store, whole)
    assert finish(audit, store) == 0
    check_finished(store, whole)


# ---- failing


@pytest.fixture
def copied(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "a.zarr")


def chunks_of_blocks(store: Path) -> list[Path]:
    """The chunk files of measured arrays: every one that a marker answers for."""
    return [file for file in sorted(store.rglob("c/**/*")) if file.is_file() and _measured(file.relative_to(store))]


def _measured(file: Path) -> bool:
    array = file.parts[file.parts.index("c") - 1]
    return array.startswith(("status", "clean_", "probability", "margin", "top5", "out_of"))


def spoil(file: Path, chance: random.Random) -> None:
    """One bit flipped, or the end cut off."""
    data = bytearray(file.read_bytes())
    if chance.random() < 0.5:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    else:
        del data[chance.randrange(len(data)) :]
    file.write_bytes(data)


def test_any_bit_of_any_chunk_is_found_named_and_computed_again(copied, whole):
    files, chance = chunks_of_blocks(copied), random.Random("chunks")
    assert len(files) == BLOCKS * (5 + 3 * 5)
    spoiled = chance.sample(files, 12)
    for file in spoiled:
        spoil(file, chance)
        assert [finding.where for finding in verify(copied)] == [file.relative_to(copied).as_posix()]
        shutil.copy(whole / file.relative_to(copied), file)
    assert verify(copied) == []
    for file in spoiled[:2]:
        spoil(file, chance)
    hurt = {int(file.parts[file.parts.index("c") + 1]) for file in spoiled[:2]}
    before = markers(copied)
    code, said = bandscope("verify", copied.name, cwd=copied.parent)
    assert code == 3
    assert "has changed" in said
    assert bandscope("table", copied.name, "curves", cwd=copied.parent)[0] == 1
    audit(copied)
    check_finished(copied, whole)
    assert {block for block, who in markers(copied).items() if before[block] != who} == hurt


@pytest.mark.parametrize("seed", ordinary(range(150), 12))
def test_any_damage_to_what_describes_the_store_is_one_sentence_or_harmless(copied, whole, seed):
    """Settings, array headers, markers, labels: no traceback, and what `verify` finds whole has its numbers."""
    chance, chunks = random.Random(f"described {seed}"), chunks_of_blocks(copied)
    file = chance.choice([file for file in sorted(copied.rglob("*")) if file.is_file() and file not in chunks])
    spoil(file, chance)
    for command in (["verify"], ["status"], ["table", "curves"]):
        code, said = bandscope(command[0], copied.name, *command[1:], cwd=copied.parent)
        assert code in (0, 1, 3), said
    if bandscope("verify", copied.name, cwd=copied.parent)[0] == 0:
        assert differing(copied, whole) == []
    try:
        audit(copied)
    except bs.BandscopeError:
        return
    if verify(copied) == []:
        check_finished(copied, whole)


# ---- read-only


@pytest.fixture(params=["mode", "mount"])
def read_only(request, whole, tmp_path) -> Iterator[Path]:
    """A whole store in a folder that cannot be written."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    shutil.copytree(whole, folder / "a.zarr")
    if request.param == "mount":
        mounted(folder, "--bind", str(folder))
        mounted(folder, "-o", "remount,ro,bind")
        yield folder / "a.zarr"
        subprocess.run(["umount", str(folder)], check=True)
        return
    kept = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")]}
    for path in reversed(kept):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        if may_write(folder):
            pytest.skip("root may write everywhere")
        yield folder / "a.zarr"
    finally:
        for path, mode in kept.items():
            path.chmod(mode)


def may_write(folder: Path) -> bool:
    """Whether the modes of a folder keep this user out."""
    try:
        (folder / "probe").touch()
    except OSError:
        return False
    (folder / "probe").unlink()
    return True


def test_a_read_only_store_can_be_read(read_only, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for command in (
        ["verify", read_only],
        ["status", read_only],
        ["table", read_only, "curves", "--csv", "curves.csv"],
        ["table", read_only, "bands", "--by", "class"],
        ["compare", read_only, read_only, "--markdown", "both.md"],
        ["sample", read_only, "3", "--source", SPEC, "--out", "sample.png"],
    ):
        code, said = bandscope(*command, cwd=elsewhere)
        assert code == 0, said
    assert {path.name for path in elsewhere.iterdir()} == {"curves.csv", "both.md", "sample.png"}
    with bs.open(read_only) as cube:
        assert (cube["status"].values == "ok").all()


def test_a_read_only_store_that_is_to_be_written_says_so(read_only):
    (read_only.parent.parent / "copy").mkdir()
    with pytest.raises(bs.BandscopeError, match=r"cannot be (written|made)"):
        audit(read_only, overwrite=True)
    with pytest.raises(bs.BandscopeError, match=r"cannot be (written|made)"):
        audit(read_only.with_name("b.zarr"))
