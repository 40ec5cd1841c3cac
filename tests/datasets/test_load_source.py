import pickle
import subprocess
import sys

import pytest
from small_images import write_tree
from torch.utils.data import ConcatDataset, DataLoader

from bandscope.datasets import ImageSource, load_source, select
from bandscope.datasets.planted import Planted
from bandscope.errors import DataError, InputError


@pytest.fixture
def root(tmp_path):
    return write_tree(tmp_path / "data", {"cat/1.png": 1, "dog/2.png": 2})


def test_folder_and_its_options(root):
    (root / "empty").mkdir()
    with pytest.raises(DataError, match="allow_empty=true"):
        load_source(f"folder:{root}")
    source = load_source(f"folder:{root}?allow_empty=true")
    assert source.spec == f"folder:{root}?allow_empty=true"
    same = load_source(f"folder:{root}", allow_empty=True)
    assert same.spec == source.spec
    assert len(same.classes) == len(source.classes) == 3


def test_home_is_expanded(root, monkeypatch):
    monkeypatch.setenv("HOME", str(root.parent))
    assert len(load_source("folder:~/data")) == 2


def test_planted_and_its_options():
    source = load_source("planted")
    assert isinstance(source, Planted)
    assert source.fingerprint() == Planted().fingerprint()
    assert load_source("planted?per_class=2&seed=5").fingerprint() == Planted(per_class=2, seed=5).fingerprint()
    assert load_source("planted", per_class=2).fingerprint() == Planted(per_class=2).fingerprint()


def test_an_open_source_is_returned():
    source = Planted(per_class=1)
    assert load_source(source) is source
    with pytest.raises(InputError, match="seed"):
        load_source(source, seed=1)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("foldr:x", "Did you mean 'folder'"),
        ("Parquet:x", "Did you mean 'parquet'"),
        ("plantd", "Did you mean 'planted'"),
        ("imagenet", "folder:DIR, parquet:GLOB, hf:NAME, wds:SHARDS, torchvision:NAME.* or planted"),
        ("x/{0..9}.tar", r"Did you mean 'wds:x/\{0..9\}\.tar'"),
        ("x/*.parquet", r"Did you mean 'parquet:x/\*.parquet'"),
        ("", "not a known image set"),
        ("folder", "not a known image set|lacks"),
        ("folder:", "lacks what comes after folder:"),
        ("planted:big", "not a known image set"),
        ("planted?prr_class=3", "unknown option 'prr_class'.*Did you mean 'per_class'"),
        ("planted?per_class=few", "must be an integer"),
        ("planted?per_class=3&per_class=4", "given twice"),
        ("planted?per_class=3&four", "not of the form name=value"),
        ("folder:x?allow_empty=maybe", "must be true or false"),
        ("folder:x?spec=y", "unknown option 'spec'"),
        ("parquet:x?root=y", "unknown option 'root'.*image, label, split"),
        (7, "not a spec"),
        (None, "not a spec"),
    ],
)
def test_wrong_specs_are_one_clear_error(spec, message):
    with pytest.raises(InputError, match=message):
        load_source(spec)


def test_options_twice(root):
    with pytest.raises(InputError, match=r"'allow_empty'.*given twice"):
        load_source(f"folder:{root}?allow_empty=true", allow_empty=True)


def test_a_bare_folder_is_pointed_to(root):
    with pytest.raises(InputError, match=f"Did you mean 'folder:{root}'"):
        load_source(str(root))


def test_question_marks_in_globs_are_wildcards(tmp_path):
    for spec, place in [("train-?.parquet", "train-?.parquet"), ("train-?.parquet?split=a", "train-?.parquet")]:
        with pytest.raises(DataError, match=place.replace("?", r"\?")):
            load_source(f"parquet:{tmp_path}/{spec}")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12 on fork beside threads
def test_workers_read_the_same_images(root):
    sources = [load_source(f"folder:{root}"), select(load_source("planted", per_class=1), limit=2)]
    expected = [source[i].tobytes() for source in sources for i in range(2)]
    loader = DataLoader(ConcatDataset(sources), batch_size=None, num_workers=2, multiprocessing_context="fork")
    assert [image.tobytes() for image in loader] == expected
    for source in sources:  # where workers are spawned, sources travel pickled
        again = pickle.loads(pickle.dumps(source))
        assert [again[i].tobytes() for i in range(2)] == [source[i].tobytes() for i in range(2)]
    assert all(isinstance(source, ImageSource) for source in sources)


def test_importing_is_light():
    heavy = ("torch", "pyarrow", "pandas", "datasets", "webdataset")
    code = f"import sys, bandscope.datasets; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
