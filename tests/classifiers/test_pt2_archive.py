"""Archives that are damaged, or could run code."""

import io
import json
import os
import pickle
import struct
import warnings
import zipfile

import pytest
import torch
from programs import FREE, program

from bandscope.classifiers import load_classifier
from bandscope.classifiers.exported import save_exported
from bandscope.errors import ModelError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.pt2"


@pytest.fixture
def saved(path, net, preprocess, classes):
    save_exported(path, program(net, dynamic=FREE), preprocess=preprocess, classes=classes)
    return path


class Bomb:
    """What unpickling must never get to: it makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def rewritten(path, changes):
    """The archive with some members replaced: by a function of their bytes, or of the graph's for a new one."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    root = next(iter(members)).partition("/")[0]
    for name, change in changes.items():
        members[f"{root}/{name}"] = change(members.get(f"{root}/{name}", members[f"{root}/models/model.json"]))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)


def in_json(edit):
    def change(data):
        values = json.loads(data)
        edit(values)
        return json.dumps(values).encode()

    return change


def first_node(**fields):
    return in_json(lambda values: values["graph_module"]["graph"]["nodes"][0].update(fields))


def pickled(folder):
    buffer = io.BytesIO()
    torch.save((((Bomb(folder),), {})), buffer)
    return buffer.getvalue()


def call(folder):
    return f"__import__('os').mkdir({str(folder)!r})"


def named_input(name):
    def edit(values):
        graph = values["graph_module"]["graph"]
        graph["inputs"][-1]["as_tensor"]["name"] = name

    return in_json(edit)


def symbol(text):
    def edit(values):
        sizes = values["graph_module"]["graph"]["tensor_values"]["input"]["sizes"]
        sizes[0]["as_expr"]["expr_str"] = text

    return in_json(edit)


def tensor_called_metadata(folder):
    """What is noted of a node goes by that name, and is not looked at."""

    def edit(values):
        graph = values["graph_module"]["graph"]
        size = {"as_expr": {"expr_str": call(folder), "hint": None}}
        graph["tensor_values"]["metadata"] = {**graph["tensor_values"]["input"], "sizes": [size]}
        graph["nodes"][0]["outputs"][0]["as_tensor"]["name"] = graph["nodes"][0]["name"] = "metadata"

    return in_json(edit)


def output(kind, context):
    """Outputs in a nesting of that kind."""
    nested = {"type": kind, "context": context, "children_spec": []}
    return in_json(
        lambda values: values["graph_module"]["module_call_graph"][0]["signature"].update(
            out_spec=json.dumps([1, nested]).replace("defaultdict", "default\\u0064ict")
        )
    )


def hidden_object(values):
    """A constant that is a pickle, though it is not said to be one."""
    values["config"] = {"x": {"path_name": "opaque_obj_0", "use_pickle": False, "tensor_meta": META}}


META = {
    **{"dtype": 1, "sizes": [], "requires_grad": False, "device": {"type": "cpu", "index": None}, "strides": []},
    **{"storage_offset": {"as_int": 0}, "layout": 7},
}


FACTORY = {"default_factory_module": "colorsys", "default_factory_name": "x", "dict_context": []}


ATTACKS = {
    "a second program": lambda d: {"models/model.else": symbol(call(d))},
    "an object under a name in capitals": lambda d: {
        "DATA/constants/opaque_obj_0": lambda _: pickle.dumps(Bomb(d)),
        "data/constants/model_constants_config.json": in_json(hidden_object),
    },
    "code as a size of a tensor called metadata": lambda d: {"models/model.json": tensor_called_metadata(d)},
    "a module of a factory": lambda _: {"models/model.json": output("collections.defaultdict", FACTORY)},
    "a module of an enumeration": lambda _: {
        "models/model.json": output("builtins.dict", json.dumps([{"__enum__": True, "fqn": "colorsys:x"}]))
    },
    "a function as an argument": lambda _: {
        "models/model.json": first_node(inputs=[{"name": "", "arg": {"as_operator": "torch.os.system"}, "kind": 1}])
    },
    "a pickle as example inputs": lambda d: {"data/sample_inputs/model.pt": lambda _: pickled(d)},
    "a pickled weight": lambda d: {
        "data/weights/weight_0": lambda _: pickled(d),
        "data/weights/model_weights_config.json": in_json(
            lambda values: next(iter(values["config"].values())).update(use_pickle=True)
        ),
    },
    "weights as an old pickle": lambda d: {"data/weights/model.pt": lambda _: pickled(d)},
    "an opaque object": lambda d: {"data/constants/opaque_obj_0": lambda _: pickle.dumps(Bomb(d))},
    "a compiled library": lambda _: {"data/aotinductor/model/net.so": lambda _: b"\x7fELF"},
    "code as a size": lambda d: {"models/model.json": symbol(call(d))},
    "code as the name of an input": lambda d: {"models/model.json": named_input(f"x={call(d)}")},
    "a function of torch": lambda _: {"models/model.json": first_node(target="torch.hub.load")},
    "a function of another library": lambda _: {"models/model.json": first_node(target="torch.ops.evil.run.default")},
    "an operator that opens files": lambda _: {
        "models/model.json": first_node(target="torch.ops.aten.from_file.default")
    },
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_code_of_a_file_is_run(saved, tmp_path, attack):
    rewritten(saved, ATTACKS[attack](tmp_path / "ran"))
    with pytest.raises(ModelError, match=r"is refused|holds compiled code"):
        load_classifier(f"export:{saved}")
    assert not (tmp_path / "ran").exists()


def two_lists(pointed, last):
    """Two archives in one file: PyTorch's reader takes the list that the end points to, Python's the last one."""
    (members, listed, _), (others, *rest) = parts(pointed), parts(last)
    return members.ljust(len(others), b"\0") + listed + others + b"".join(rest)


def parts(archive):
    """Members, their list, and the end of a zip."""
    size, start = struct.unpack("<II", archive[-10:-2])
    return archive[:start], archive[start : start + size], archive[start + size :]


def test_an_archive_with_two_lists_of_contents(saved, tmp_path):
    rewritten(saved, {"models/model.json": symbol("s0" + 200 * " ")})
    plain = saved.read_bytes()
    rewritten(saved, {"models/model.json": symbol(call(tmp_path / "ran"))})
    saved.write_bytes(two_lists(saved.read_bytes(), plain))
    with pytest.raises(ModelError, match="is refused: its expr_str"):
        load_classifier(f"export:{saved}")
    saved.write_bytes(two_lists(plain, plain.replace(b"models/model.json", b"models/older.json")))
    with pytest.raises(ModelError, match="has two lists of contents"):
        load_classifier(f"export:{saved}")
    assert not (tmp_path / "ran").exists()


def test_the_attacks_are_real(tmp_path):
    """What torch.load does with such a pickle, without the check."""
    torch.load(io.BytesIO(pickled(tmp_path / "ran")), weights_only=False)
    assert (tmp_path / "ran").is_dir()


def test_guards_are_not_run(saved, tmp_path, batch):
    guard = in_json(lambda values: values.update(guards_code=[call(tmp_path / "ran")]))
    rewritten(saved, {"models/model.json": guard})
    load_classifier(f"export:{saved}").logits(batch)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models/model.json": lambda data: None}, r"lacks models/model\.json"),
        ({"models/model.json": lambda data: data[:-20]}, "is damaged: its archive cannot be made sense of"),
        ({"models/model.json": lambda data: b"{}"}, "cannot be loaded as a program of torch.export"),
        ({"data/weights/weight_0": lambda data: data[:-3]}, "cannot be loaded as a program of torch.export"),
        ({"data/weights/weight_0": lambda data: None}, "cannot be loaded as a program of torch.export"),
        ({"archive_format": lambda data: b"pt3"}, r"is no \.pt2 archive"),
        ({"data/sample_inputs/model.pt": lambda data: data[:-9]}, "example inputs are damaged"),
        ({"extra/bandscope": lambda data: b'{"preprocess": {}}'}, "metadata in .* cannot be read"),
    ],
)
def test_damaged_archives(saved, changes, message, capfd):
    rewritten(saved, changes)
    with pytest.raises(ModelError, match=message):
        load_classifier(f"export:{saved}")
    assert capfd.readouterr().err == ""


def test_missing_and_foreign_files(tmp_path, saved, net):
    with pytest.raises(ModelError, match=r"the exported file none\.pt2 does not exist"):
        load_classifier("export:none.pt2")
    whole = saved.read_bytes()
    for data in (b"", b"not an archive", whole[: len(whole) // 2]):
        saved.write_bytes(data)
        with pytest.raises(ModelError, match=r"is not a readable \.pt2 archive"):
            load_classifier(f"export:{saved}")
    torch.save(net.state_dict(), saved)
    with pytest.raises(ModelError, match=r"is no \.pt2 archive: TorchScript, a pickle, or"):
        load_classifier(f"export:{saved}")
    saved.write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(ModelError, match=r"is not a readable \.pt2 archive"):
        load_classifier(f"export:{saved}")
    assert not (tmp_path / "ran").exists()


def test_a_name_that_occurs_twice_hides_nothing(saved):
    with warnings.catch_warnings(), zipfile.ZipFile(saved, "a") as archive:
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr(next(name for name in archive.namelist() if name.endswith("models/model.json")), b"{}")
    with pytest.raises(ModelError, match="a name occurs twice"):
        load_classifier(f"export:{saved}")
