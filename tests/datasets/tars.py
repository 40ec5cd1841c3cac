"""Tar files as WebDataset and other tools write them."""

import io
import tarfile

import webdataset
from small_images import encoded, pixels


def sample(number, **members):
    return {"__key__": f"{number:05d}", **members}


def write(folder, samples, size=4, name="train-%03d.tar"):
    folder.mkdir(parents=True, exist_ok=True)
    with webdataset.ShardWriter(str(folder / name), maxcount=size, verbose=0) as writer:
        for each in samples:
            writer.write(each)
    return folder


def write_tar(path, members):
    """(name, bytes) in this order, as any tool may write them."""
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def plain(count):
    return [sample(i, png=encoded(pixels(i)), cls=(7 * i) % 3) for i in range(count)]
