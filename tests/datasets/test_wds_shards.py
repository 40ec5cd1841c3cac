"""What lies in a tar file of WebDataset: samples, notes, damage; its own reader is the oracle."""

import io
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_images import encoded, pixels
from tars import plain, write, write_tar
from webdataset.tariterators import group_by_keys, tar_file_expander

from bandscope.datasets.wds import Shards
from bandscope.errors import DataError, ImageError


@pytest.fixture
def shards(tmp_path):
    return write(tmp_path / "data", plain(10))


@given(
    members=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3000)), min_size=1, max_size=12),
    form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
@settings(max_examples=40)
def test_any_member_is_found_in_any_tar(members, form, tmp_path_factory):
    """Long names take headers of their own, and members end anywhere in a block."""
    path = tmp_path_factory.mktemp("tar") / "x.tar"
    images = [encoded(pixels(i)) + bytes(extra) for i, (_, extra) in enumerate(members)]
    with tarfile.open(path, "w", format=form) as tar:
        for i, (length, _) in enumerate(members):
            for ending, data in (("png", images[i]), ("cls", b"3")):
                info = tarfile.TarInfo(f"{'d' * length}/{'n' * length}{i}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    source = Shards(path)
    for i in range(len(members)):
        np.testing.assert_array_equal(source[i], pixels(i))


PNG = encoded(pixels(0))


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        ([("1.png", PNG)], {}, r"'1' in .*x\.tar' has no label \(a \.cls or a \.json\) among 'png'"),
        (
            [("1.png", PNG), ("1.cls", b"0")],
            {"label": "txt"},
            r"no label \(\.txt, or 'txt' in a \.json\) among 'cls', 'png'",
        ),
        ([("1.png", PNG), ("1.cls", b"0"), ("2.cls", b"1")], {}, r"'2' in .* has no image .* among 'cls'"),
        ([("1.png", PNG), ("1.cls", b"0"), ("1.png", PNG)], {}, r"holds '1\.png' twice"),
        ([("1.png", PNG), ("1.PNG", PNG)], {}, r"holds '1\.PNG' twice"),
        (
            [("1.png", PNG), ("1.jpg", PNG), ("1.cls", b"0")],
            {},
            r"several images \(jpg, png\); say which: \?image=jpg",
        ),
        ([("1.png", PNG), ("1.cls", b" ")], {}, r"The label '1\.cls' in .* is empty"),
        (
            [("1.png", PNG), ("1.cls", b"0"), ("2.png", PNG), ("2.cls", b"cat")],
            {},
            "Some labels .* numbers and some are texts",
        ),
        ([("1.png", PNG), ("1.json", b"{")], {}, r"'1\.json' in .* is no JSON"),
        (
            [("1.png", PNG), ("1.json", b'{"y": 1}')],
            {},
            r"has no 'label'; it holds 'y'\. Say which key .*: \?label=KEY",
        ),
        ([("1.png", PNG), ("1.json", b"[1]")], {}, "has no 'label'"),
        (
            [("1.png", PNG), ("1.json", b'{"label": 1.5}')],
            {},
            r"'label' of .* is 1\.5; expected a whole number or a text",
        ),
        ([("1.png", PNG), ("1.json", b'{"label": true}')], {}, "is True; expected a whole number"),
        ([("1.png", PNG), ("1.cls", b"\xff")], {}, r"The label '1\.cls' in .* is no text: .*0xff"),
        ([("1.txt", b"no image")], {}, "hold no images"),
    ],
)
def test_samples_that_are_no_labelled_images(tmp_path, members, options, message):
    with pytest.raises(DataError, match=message):
        Shards(write_tar(tmp_path / "x.tar", members), **options)


def test_what_is_no_sample_is_left_out(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind, data in [
            ("folder", tarfile.DIRTYPE, b""),
            ("README", tarfile.REGTYPE, b"no dot"),
            ("__notes__.json", tarfile.REGTYPE, b"{}"),
            ("a/__notes__.json", tarfile.REGTYPE, b"{}"),
            ("__notes__/0.png", tarfile.REGTYPE, PNG),
            ("link.png", tarfile.SYMTYPE, b""),
            ("0.txt", tarfile.REGTYPE, b"neither image nor label"),
            ("1.png", tarfile.REGTYPE, PNG),
            ("1.cls", tarfile.REGTYPE, b"0"),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "/etc/passwd"
            tar.addfile(info, io.BytesIO(data))
    assert list(Shards(path).paths) == ["x.tar#1.png"]


def test_a_name_that_begins_with_underscores_is_a_sample(tmp_path):
    members = [
        (f"{name}.{ending}", data) for name in ("__1", "a/__2") for ending, data in (("png", PNG), ("cls", b"0"))
    ]
    path = write_tar(tmp_path / "x.tar", members)
    with path.open("rb") as stream:
        theirs = group_by_keys(tar_file_expander([{"url": path.name, "stream": stream}]))
        assert [f"x.tar#{each['__key__']}.png" for each in theirs] == list(Shards(path).paths)


class TestDamage:
    @pytest.mark.parametrize("left", [0.1, 0.37, 0.6, 0.85])
    def test_truncated_anywhere(self, shards, left):
        """Wherever it is cut, even between two members."""
        path = shards / "train-000.tar"
        whole = path.read_bytes()
        with tarfile.open(path) as tar:
            infos = tar.getmembers()
            end = infos[-1].offset_data + 512 * -(-infos[-1].size // 512)
        for cut in {int(left * end), *[info.offset for info in infos[1:]], infos[2].offset + 100, end}:
            path.write_bytes(whole[:cut])
            with pytest.raises(DataError, match="truncated"):
                Shards(shards / "*.tar")

    def test_foreign_and_damaged_files(self, tmp_path, shards):
        path = tmp_path / "x.tar"
        for data in (b"", b"no tar at all", b"\0" * 100):
            path.write_bytes(data)
            with pytest.raises(DataError, match="is no tar, or truncated"):
                Shards(path)
        whole = bytearray((shards / "train-000.tar").read_bytes())
        with tarfile.open(shards / "train-000.tar") as tar:
            second = tar.getmembers()[1].offset
        whole[second : second + 8] = b"\xff" * 8
        path.write_bytes(whole)
        with pytest.raises(DataError, match=f"truncated or damaged at byte {second}"):
            Shards(path)

    def test_several_tars_in_one_file(self, shards):
        """Readers stop at the end of the first."""
        first, second, path = shards / "train-000.tar", shards / "train-001.tar", shards / "both.tar"
        path.write_bytes(first.read_bytes() + second.read_bytes())
        with pytest.raises(DataError, match=r"both\.tar' goes on after its end at byte \d+: give each"):
            Shards(path)

    @pytest.mark.parametrize(("mode", "name"), [("w:gz", "gzip"), ("w:bz2", "bzip2"), ("w:xz", "xz")])
    def test_compressed(self, tmp_path, mode, name):
        with tarfile.open(tmp_path / "x.tar", mode) as tar:
            tar.addfile(tarfile.TarInfo("1.png"))
        with pytest.raises(DataError, match=rf"compressed \({name}\).*decompress"):
            Shards(tmp_path / "x.tar")

    def test_of_images_is_recorded_one_by_one(self, tmp_path):
        bad = [
            ("1.png", b""),
            ("1.cls", b"0"),
            ("2.png", b"text"),
            ("2.cls", b"0"),
            ("3.png", PNG[:80]),
            ("3.cls", b"0"),
        ]
        source = Shards(write_tar(tmp_path / "x.tar", [*bad, ("4.png", PNG), ("4.cls", b"1")]))
        for position, reason in enumerate(["zero bytes", "not an image", "truncated"]):
            with pytest.raises(ImageError, match=reason):
                source[position]
        np.testing.assert_array_equal(source[3], pixels(0))

    def test_after_opening(self, shards):
        source = Shards(shards / "*.tar")
        path = shards / "train-001.tar"
        path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(ImageError, match="has become shorter"):
            source[7]
        path.unlink()
        with pytest.raises(ImageError, match="its shard cannot be read: No such file"):
            source[4]
        np.testing.assert_array_equal(source[0], pixels(0))
