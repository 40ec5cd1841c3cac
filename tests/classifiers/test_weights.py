import hashlib
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bandscope.classifiers.weights import load_state, read_state, weights_hash
from bandscope.errors import ModelError


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


class Code:
    """A pickle that runs code when it is read."""

    def __reduce__(self):
        return (print, ("code from a checkpoint ran",))


def same(state: dict, module: nn.Module) -> bool:
    own = module.state_dict()
    return state.keys() == own.keys() and all(torch.equal(state[name], own[name]) for name in own)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".tar"])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_torch_files_are_read_in_every_usual_form(tmp_path, suffix, wrap, prefix):
    state = network().state_dict()
    torch.save(wrap({f"{prefix}{name}": value for name, value in state.items()}), tmp_path / f"net{suffix}")
    assert same(read_state(tmp_path / f"net{suffix}"), network())


def test_safetensors_are_read(tmp_path):
    save_file(network().state_dict(), tmp_path / "net.safetensors")
    assert same(read_state(tmp_path / "net.safetensors"), network())


def test_a_prefix_that_only_some_keys_have_stays(tmp_path):
    save_file({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "net.safetensors")
    assert set(read_state(tmp_path / "net.safetensors")) == {"module.a", "b"}


@pytest.mark.parametrize("content", [Code(), {"state_dict": {"a": torch.ones(1)}, "extra": Code()}, network()])
def test_a_pickle_that_needs_code_is_refused_unrun(tmp_path, content, capsys):
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(ModelError, match=r"refused: .* could run code"):
        read_state(tmp_path / "net.pt")
    assert capsys.readouterr().out == ""


def test_a_bare_pickle_is_refused_unrun(tmp_path, capsys):
    (tmp_path / "net.pt").write_bytes(pickle.dumps(Code(), protocol=2))
    with pytest.raises(ModelError, match="refused"):
        read_state(tmp_path / "net.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a weights file", b"PK\x03\x04 cut off"])
def test_damaged_files_are_refused(tmp_path, suffix, content):
    (tmp_path / f"net{suffix}").write_bytes(content)
    with pytest.raises(ModelError, match=rf"net\{suffix}"):
        read_state(tmp_path / f"net{suffix}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": torch.ones(1), "lr": 0.1}, "1 not tensors: lr"),
        ([torch.ones(1)], "no state dict: a list"),
        ({}, "no state dict"),
    ],
)
def test_files_without_a_state_dict_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(ModelError, match=message):
        read_state(tmp_path / "net.pt")


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        read_state(tmp_path / "net.pt")
    (tmp_path / "net.h5").touch()
    with pytest.raises(ModelError, match=r"must be .safetensors or .pt"):
        read_state(tmp_path / "net.h5")


def test_loading_copies_every_value():
    module = network(1)
    load_state(module, network(2).state_dict(), "file")
    assert same(network(2).state_dict(), module)


def test_loading_is_strict_and_lists_the_keys():
    state = network().state_dict()
    state["head.weight"] = state.pop("3.weight")
    state["0.weight"] = torch.ones(8, 3, 3, 3)
    module = network(1)
    with pytest.raises(ModelError) as caught:
        load_state(module, state, "net.pt")
    message = str(caught.value)
    assert "net.pt do not fit Sequential" in message
    assert "1 missing: 3.weight" in message
    assert "1 unexpected: head.weight" in message
    assert "0.weight (file [8, 3, 3, 3], network [4, 3, 3, 3])" in message
    assert same(network(1).state_dict(), module), "a refused file must leave the network alone"


def test_long_lists_are_cut_with_the_count():
    with pytest.raises(ModelError, match=r"8 missing: 0.weight, 0.bias, 1.weight and 5 more"):
        load_state(network(), {}, "net.pt")


def test_only_the_batch_counter_may_be_missing():
    state = network(2).state_dict()
    del state["1.num_batches_tracked"]
    load_state(network(), state, "file")
    del state["1.running_var"]
    with pytest.raises(ModelError, match=r"1 missing: 1.running_var"):
        load_state(network(), state, "file")


def test_the_hash_is_the_documented_one():
    state = {"b": torch.tensor([[1.5, 2.0]]), "a": torch.tensor(3, dtype=torch.int64)}
    parts = b"a torch.int64 []\n" + np.int64(3).tobytes()
    parts += b"b torch.float32 [1, 2]\n" + np.array([1.5, 2.0], dtype=np.float32).tobytes()
    assert weights_hash(state) == hashlib.sha256(parts).hexdigest()


def test_the_hash_sees_values_shapes_types_and_names_but_not_order_or_layout():
    value = torch.arange(24.0).reshape(1, 2, 3, 4)
    reference = weights_hash({"a": value, "b": value})
    assert weights_hash({"b": value, "a": value.to(memory_format=torch.channels_last)}) == reference
    nearly = value.clone()
    nearly[0, 0, 0, 0] = 1e-30
    others = [{"a": value, "c": value}, {"a": value, "b": nearly}, {"a": value, "b": value.view(2, 12)}]
    others += [{"a": value, "b": value.bfloat16()}, {"a": value, "b": value.double()}]
    assert len({reference, *map(weights_hash, others)}) == len(others) + 1
