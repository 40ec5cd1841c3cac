import hashlib
import inspect
import pickle

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from small_images import encoded, pixels, write_tree

from bandscope.datasets.base import ImageSource
from bandscope.datasets.load import load_source
from bandscope.errors import DataError, ImageError, InputError
from bandscope.labels import ClassLabel


@pytest.fixture
def imagenet(tmp_path):
    """ImageNet-1k's form with three classes: what torchvision leaves behind after unpacking the archives."""
    synonyms = {"n01440764": ("tench", "Tinca tinca"), "n01443537": ("goldfish",), "n02012849": ("crane",)}
    torch.save((synonyms, ["n01443537"]), tmp_path / "meta.bin")
    files = {f"{split}/{wnid}/{i}.JPEG": i for split in ("train", "val") for i, wnid in enumerate(synonyms)}
    return write_tree(tmp_path, files)


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """CIFAR-10's form with four images; torchvision checks the digests of the real files, so they are replaced."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    data = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    contents = {
        "test_batch": {"data": data, "labels": [3, 0, 0, 1]},
        "data_batch_1": {"data": data[:2], "labels": [1, 1]},
        "batches.meta": {"label_names": ["airplane", "automobile", "bird", "cat"]},
    }
    digests = {}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
        digests[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    kind = torchvision.datasets.CIFAR10
    monkeypatch.setattr(kind, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setattr(kind, "train_list", [["data_batch_1", digests["data_batch_1"]]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": digests["batches.meta"]})
    return tmp_path, data


def test_cifar10(cifar10):
    root, data = cifar10
    source = load_source(f"torchvision:CIFAR10?root={root}")
    assert isinstance(source, ImageSource)
    assert source.spec == f"torchvision:CIFAR10?root={root}&train=false"
    assert [label.name for label in source.classes] == ["airplane", "automobile", "bird", "cat"]
    assert source.labels.tolist() == [3, 0, 0, 1]
    assert list(source.paths) == ["#0", "#1", "#2", "#3"]
    for position in range(4):
        np.testing.assert_array_equal(source[position], data[position].reshape(3, 32, 32).transpose(1, 2, 0))
    with pytest.raises(IndexError):
        source[4]
    assert load_source(f"torchvision:CIFAR10?root={root}&train=true").labels.tolist() == [1, 1]
    assert load_source("torchvision:CIFAR10", root=root, train=True).labels.tolist() == [1, 1]


def test_fingerprint_of_images_in_memory(cifar10):
    root, _ = cifar10
    test, train = (load_source("torchvision:CIFAR10", root=root, train=train) for train in (False, True))
    assert test.fingerprint() == load_source(f"torchvision:CIFAR10?root={root}").fingerprint() != train.fingerprint()
    test._dataset.data[2, 5, 5, 1] ^= 1
    assert test.fingerprint() != load_source(f"torchvision:CIFAR10?root={root}").fingerprint()


def test_imagenet_has_names_and_wordnet_ids(imagenet):
    source = load_source(f"torchvision:ImageNet?root={imagenet}")
    assert source.spec.endswith("&split=val")
    assert source.classes == (
        ClassLabel("tench", "n01440764"),
        ClassLabel("goldfish", "n01443537"),
        ClassLabel("crane", "n02012849"),
    )
    assert list(source.paths) == [f"val/{label.wnid}/{i}.JPEG" for i, label in enumerate(source.classes)]
    np.testing.assert_array_equal(source[2], pixels(2))
    before = source.fingerprint()
    write_tree(imagenet, {"val/n02012849/2.JPEG": 9})
    (imagenet / "val/n02012849/2.JPEG").write_bytes(b"")
    damaged = load_source(f"torchvision:ImageNet?root={imagenet}")
    with pytest.raises(ImageError):
        damaged[2]
    assert damaged.fingerprint() != before


def test_the_first_image_may_be_bad(imagenet):
    (imagenet / "val/n01440764/0.JPEG").write_bytes(encoded(pixels(0, (99, 99)), "JPEG")[:3000])
    source = load_source(f"torchvision:ImageNet?root={imagenet}")
    with pytest.raises(ImageError, match="truncated"):
        source[0]
    assert source[1].size == pixels(1).size


def test_image_folder_is_the_folder_source(tmp_path):
    write_tree(tmp_path, {"n01440764_tench/1.png": 1, "dog/2.png": 2})
    ours, theirs = load_source(f"folder:{tmp_path}"), load_source(f"torchvision:ImageFolder?root={tmp_path}")
    assert (ours.classes, list(ours.paths), ours.labels.tolist()) == (
        (theirs.classes, list(theirs.paths), theirs.labels.tolist())
    )


def test_sets_without_names_or_lists_of_labels():
    source = load_source("torchvision:FakeData?size=12&num_classes=3")
    theirs = torchvision.datasets.FakeData(size=12, num_classes=3)
    labels = [theirs[i][1] for i in range(12)]
    assert [int(source.classes[k].name) for k in source.labels] == labels
    np.testing.assert_array_equal(source[5], theirs[5][0])
    other = load_source("torchvision:FakeData?size=12&num_classes=3&random_offset=1")
    assert source.fingerprint() == load_source("torchvision:FakeData?size=12&num_classes=3").fingerprint()
    assert source.fingerprint() != other.fingerprint()


class Strange(torchvision.datasets.VisionDataset):
    """Any set whose items are `item`."""

    item: object = None

    def __init__(self, root):
        super().__init__(root)

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.item


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((torch.zeros(3, 4, 4), 1), "gives Tensor, not images"),
        ((Image.new("L", (2, 2)), "a caption"), "one class an image"),
        ((Image.new("L", (2, 2)), {"boxes": []}), "one class an image"),
    ],
)
def test_sets_that_are_no_classification_of_images(item, message, monkeypatch, tmp_path):
    monkeypatch.setattr(Strange, "item", item)
    monkeypatch.setattr(torchvision.datasets, "USPS", Strange)
    with pytest.raises(DataError, match=message):
        load_source(f"torchvision:USPS?root={tmp_path}")


def test_unlabelled_parts(monkeypatch, tmp_path):
    monkeypatch.setattr(Strange, "item", (Image.new("L", (2, 2)), -1))
    monkeypatch.setattr(Strange, "classes", ["cat", "dog"], raising=False)
    monkeypatch.setattr(torchvision.datasets, "USPS", Strange)
    with pytest.raises(DataError, match=r"'-1'.*2 classes"):
        load_source(f"torchvision:USPS?root={tmp_path}")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torchvision:cifar10?root=x", "Did you mean 'CIFAR10'"),
        ("torchvision:CIFAR1O?root=x", "Did you mean 'CIFAR10"),
        ("torchvision:VisionDataset?root=x", "has no 'VisionDataset'"),
        ("torchvision:wrap_dataset_for_transforms_v2?root=x", "has no 'wrap_dataset"),
        ("torchvision:MNIST", "needs the option 'root'"),
        (
            "torchvision:MNIST?root=x&trian=false",
            "unknown option 'trian'.*download, root, train.*Did you mean 'train'",
        ),
        ("torchvision:MNIST?root=x&train=no", "must be true or false"),
        ("torchvision:MNIST?root=x&transform=y", "unknown option 'transform'"),
        ("torchvision:FakeData?size=1.5", "must be an integer"),
        ("torchvision:SVHN?root=x&split=tset", "'tset'.*Valid values are"),
        ("torchvision:EMNIST?root=x", "no part named test, val, valid; add split=PART.*Valid values are"),
    ],
)
def test_wrong_specs(spec, message):
    with pytest.raises(InputError, match=message):
        load_source(spec)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MNIST", r"download=true"),
        ("CIFAR10", r"download=true"),
        ("CIFAR100", r"download=true"),
        ("SVHN", r"download=true"),
        ("EMNIST?split=digits", r"download=true"),
        ("ImageNet", r"torchvision's page on ImageNet"),
        ("Places365", r"download=true"),
        ("ImageFolder", r"torchvision's page on ImageFolder"),
    ],
)
def test_missing_files_say_how_to_get_them(name, message, tmp_path):
    for root, where in ((tmp_path, "in the folder"), (tmp_path / "gone", "does not exist")):
        with pytest.raises(DataError, match=f"(?s){where}.*{message}"):
            load_source(f"torchvision:{name}{'&' if '?' in name else '?'}root={root}")
    assert not list(tmp_path.iterdir())


def test_nothing_is_downloaded_unasked(monkeypatch, tmp_path):
    asked = []
    semeion = torchvision.datasets.SEMEION  # whose own default is to download
    monkeypatch.setattr(semeion, "download", lambda self: asked.append(self.root))
    with pytest.raises(DataError):
        load_source(f"torchvision:SEMEION?root={tmp_path}")
    assert not asked
    with pytest.raises(DataError):
        load_source(f"torchvision:SEMEION?root={tmp_path}&download=true")
    assert asked


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("MNIST", "train=false"),
        ("Omniglot", "background=false"),
        ("INaturalist", "version=2021_valid"),
        ("SUN397", ""),
    ],
)
def test_the_held_out_part_whatever_its_option_is_called(monkeypatch, tmp_path, name, part):
    kind, made = getattr(torchvision.datasets, name), {}

    def make(self, root, download=False, **options):
        made.update(options)
        self.targets, self._flat_character_images = [0], None

    make.__signature__ = inspect.signature(kind.__init__)
    monkeypatch.setattr(kind, "__init__", make)
    monkeypatch.setattr(kind, "__len__", lambda self: 1)
    monkeypatch.setattr(kind, "__getitem__", lambda self, position: (Image.new("L", (8, 8)), 0))
    monkeypatch.setattr(kind, "classes", ["cat"], raising=False)
    spec = f"torchvision:{name}?root={tmp_path}"
    assert load_source(spec).spec == (f"{spec}&{part}" if part else spec)
    assert [f"{option}={str(value).lower()}" for option, value in made.items()] == ([part] if part else [])


def test_real_mnist(real_data):
    source = load_source(f"torchvision:MNIST?root={real_data}")
    theirs = torchvision.datasets.MNIST(str(real_data), train=False)
    assert (len(source), source.labels.tolist()) == (10000, theirs.targets.tolist())
    assert source.classes[3] == ClassLabel("3 - three")
    np.testing.assert_array_equal(source[77], theirs.data[77])
    assert len(load_source(f"torchvision:MNIST?root={real_data}&train=true")) == 60000
