"""An audit into S3, as moto imitates it over HTTP: the bytes of a local store, and the refusals of real requests."""

import json
import os
import subprocess
import sys

import pytest
from fakes import FakeClassifier, FakeSource, files_of

import bandscope as bs
from bandscope.api import audit
from bandscope.cube import lease as leases
from bandscope.cube.lock import beginning, writing
from bandscope.cube.place import place_of
from bandscope.cube.progress import read_marks
from bandscope.cube.verify import verify
from bandscope.errors import StoreError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),  # botocore's own
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # aiobotocore leaves sockets to the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
IMAGES, PROBES = 70, (bs.LowPass((2, 5)), bs.HighPass((2,)))


@pytest.fixture(scope="module")
def options():
    """How a bucket is reached."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = pytest.importorskip("moto.server", reason="moto[s3] and flask are not installed").ThreadedMotoServer(
        port=0
    )
    server.start()
    host, port = server.get_host_and_port()
    found = {"endpoint_url": f"http://{host}:{port}", "key": "k", "secret": "s"}
    import s3fs

    s3fs.S3FileSystem(**found).mkdir("bucket")
    yield found
    server.stop()


def run(out, options=None, **settings):
    probes = settings.pop("probes", PROBES)
    return audit(FakeClassifier(), FakeSource(IMAGES), out=out, storage_options=options, probes=probes, **settings)


def content(options, name):
    place = place_of(f"s3://bucket/{name}", options)
    held = {key: place.read(key) for key in place.listed() if not key.endswith("zarr.json")}
    return {
        k: json.dumps(json.loads(v)["crc32"]).encode() if k.startswith(".blocks/") else v for k, v in held.items()
    }


def test_new_extended_replaced_and_in_parts(options, tmp_path):
    run(tmp_path / "a.zarr")
    whole = files_of(tmp_path / "a.zarr")
    run("s3://bucket/new.zarr", options)
    run("s3://bucket/more.zarr", options, probes=PROBES[:1])
    run("s3://bucket/more.zarr", options, extend=True)
    run("s3://bucket/other.zarr", options, probes=(bs.BandPass(((0, 3),)),))
    run("s3://bucket/other.zarr", options, overwrite=True)
    for part in ("2/2", "1/2"):
        run("s3://bucket/parts.zarr", options, shard=part)
    for name in ("new", "more", "other", "parts"):
        place = place_of(f"s3://bucket/{name}.zarr", options)
        assert content(options, f"{name}.zarr") == whole, name
        assert verify(place) == []
        assert len(read_marks(place, range(3))) == 3
    assert (bs.open("s3://bucket/new.zarr", options)["status"].values == "ok").all()


def test_two_ranks_of_torchrun(options, tmp_path):
    """Credentials and server from the environment, as fsspec reads them."""
    given = {"FSSPEC_S3_ENDPOINT_URL": options["endpoint_url"], "FSSPEC_S3_KEY": "k", "FSSPEC_S3_SECRET": "s"}
    asked = ["audit", "planted", "planted", "--radii", "4,16", "--per-class", "8", "--threads", "1", "--out"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for start, out in ((launcher, "s3://bucket/ranks.zarr"), ([sys.executable], "one.zarr")):
        command = [*start, "-m", "bandscope", *asked, out]
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    assert content(options, "ranks.zarr") == files_of(tmp_path / "one.zarr")
    place = place_of("s3://bucket/ranks.zarr", options)
    assert len({mark.process for mark in read_marks(place, range(3))}) == 2


def test_one_run_at_a_time(options, monkeypatch):
    for constant, seconds in {"BEAT": 0.2, "PATIENCE": 2.0, "POLL": 0.05}.items():
        monkeypatch.setattr(leases, constant, seconds)
    run("s3://bucket/held.zarr", options)
    place = place_of("s3://bucket/held.zarr", options)
    with writing(place, shared=False), pytest.raises(StoreError, match="being written by another run"):
        run("s3://bucket/held.zarr", options)
    assert [place.create("x", data) for data in (b"1", b"2")] == [True, False]
    assert place.read("x") == b"1"
    with beginning(place):
        pass
    assert place.listed(".writers") == []


def test_what_cannot_be_reached_is_one_sentence(options):
    with pytest.raises(StoreError, match="bucket does not exist"):
        run("s3://none/a.zarr", options)
    with pytest.raises(StoreError, match="bucket does not exist"):
        bs.open("s3://none/a.zarr", options)
    with pytest.raises(StoreError, match=r"s3://bucket/a\.zarr is not a bandscope store"):
        bs.open("s3://bucket/a.zarr", options)
    with pytest.raises(StoreError, match=r"s3://bucket/a\.zarr cannot be read"):
        bs.open(
            "s3://bucket/a.zarr",
            options | {"endpoint_url": "http://127.0.0.1:9", "config_kwargs": {"retries": {"max_attempts": 1}}},
        )
