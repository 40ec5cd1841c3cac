import io
import json
import os
import pickle
import struct
import warnings
import zipfile

import pytest
import timm
import torch
from torch import nn
from torch.export import Dim

import bandscope as bs
from bandscope.classifiers import Classifier, load_classifier, probe_outputs
from bandscope.classifiers.exported import save_exported
from bandscope.errors import InputError, ModelError
from bandscope.preprocess import Preprocess

CPU = torch.device("cpu")
SETTINGS = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 0.875}
FREE = ({0: Dim("batch")},)


def program(net, images=2, dynamic=None, channels=3, size=(16, 12), dtype=torch.float32):
    return torch.export.export(net, (torch.randn(images, channels, *size, dtype=dtype),), dynamic_shapes=dynamic)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.pt2"


@pytest.fixture
def saved(path, net, preprocess, classes):
    save_exported(path, program(net, dynamic=FREE), preprocess=preprocess, classes=classes)
    return path


@pytest.mark.parametrize("images", [1, 2, 5])
@pytest.mark.parametrize(
    ("example", "dynamic"),
    [
        (2, FREE),
        (1, None),
        (2, None),
        (8, None),
        (2, ({0: Dim("batch", min=2, max=3)},)),
        (2, ({0: Dim("batch", max=4)},)),
        (2, ({0: Dim("batch"), 2: Dim("h", min=8), 3: Dim("w", min=8)},)),
    ],
)
def test_free_and_fixed_batches_give_the_same_logits(path, net, preprocess, example, dynamic, images):
    save_exported(path, program(net, example, dynamic), preprocess=preprocess, classes=None)
    classifier = load_classifier(f"export:{path}")
    classifier.prepare(CPU, torch.float32)
    batch = torch.randn(images, 3, 16, 12)
    assert isinstance(classifier, Classifier)
    assert probe_outputs(classifier) == 5
    logits = classifier.logits(batch)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, net(batch).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convnext_atto", "deit_tiny_patch16_224"])
def test_networks_of_timm(path, name):
    """Convolutions, squeeze and excitation, LayerNorm, attention."""
    options = {
        "mobilenetv3_small_050": {},
        "convnext_atto": {"depths": (1, 1, 1, 1)},
        "deit_tiny_patch16_224": {"img_size": 32, "depth": 2},
    }[name]
    net = timm.create_model(name, num_classes=7, **options).eval()
    preprocess = Preprocess((32, 32), 36, (0.5,) * 3, (0.5,) * 3)
    save_exported(path, program(net, dynamic=FREE, size=(32, 32)), preprocess=preprocess, classes=None)
    batch = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(
        load_classifier(f"export:{path}").logits(batch), net(batch).detach(), rtol=1e-4, atol=1e-5
    )


def test_recorded_metadata_is_used_and_can_be_overridden(saved, preprocess, classes):
    classifier = load_classifier(f"export:{saved}")
    assert (classifier.preprocess, classifier.classes) == (preprocess, classes)
    assert load_classifier(f"export:{saved}?mean=0.5").preprocess.mean == (0.5,) * 3
    given = Preprocess((16, 12), None, (0.1,) * 3, (0.9,) * 3)
    other = load_classifier(f"export:{saved}", preprocess=given, classes=list("abcde"))
    assert (other.preprocess, [label.name for label in other.classes]) == (given, list("abcde"))


def test_the_file_is_pytorchs_own(saved, net, batch):
    """Anybody may load it without bandscope, and bandscope loads what others save."""
    extra = {"bandscope": ""}
    loaded = torch.export.load(saved, extra_files=extra)
    torch.testing.assert_close(loaded.module()(batch), net(batch))
    assert json.loads(extra["bandscope"])["preprocess"]["size"] == [16, 12]


def test_size_and_channels_come_from_a_program_without_metadata(path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(28 * 30, 4))
    torch.export.save(program(net, channels=1, size=(28, 30)), path)
    classifier = load_classifier(f"export:{path}", overrides={"mean": 0.5, "std": 0.5, "resize": None})
    assert classifier.preprocess == Preprocess((28, 30), None, (0.5,), (0.5,))
    assert probe_outputs(classifier) == 4
    with pytest.raises(ModelError, match=r"nothing is assumed: .*mean, std, crop_pct or resize missing; give all of"):
        load_classifier(f"export:{path}")


def test_programs_in_other_precisions_run(path, net, preprocess):
    double = program(net.double(), dtype=torch.float64)
    save_exported(path, double, preprocess=preprocess, classes=None)
    classifier, batch = load_classifier(f"export:{path}"), torch.randn(2, 3, 16, 12)
    assert classifier.logits(batch).dtype == torch.float32
    torch.testing.assert_close(classifier.logits(batch), net(batch.double()).float().detach())


class Keyword(nn.Module):
    """Input by keyword, logits first in a tuple, and a tensor made on the input's device."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, pixel_values):
        return self.net(pixel_values) + torch.arange(5, device=pixel_values.device), pixel_values.mean()


def test_inputs_by_keyword_and_outputs_in_a_tuple(path, net, preprocess, batch):
    exported = torch.export.export(Keyword(net), (), {"pixel_values": torch.randn(3, 3, 16, 12)})
    save_exported(path, exported, preprocess=preprocess, classes=None)
    expected = net(batch).detach() + torch.arange(5)
    torch.testing.assert_close(load_classifier(f"export:{path}").logits(batch), expected)


def test_provenance(saved, net):
    facts = json.loads(json.dumps(load_classifier(f"export:{saved}").provenance))
    assert facts["library"] == "torch.export"
    assert facts["source"] == f"file {saved}"
    assert facts["parameters"] == sum(parameter.numel() for parameter in net.parameters())
    copy = saved.with_name("copy.pt2")
    copy.write_bytes(saved.read_bytes())
    assert load_classifier(f"export:{copy}").provenance["weights_sha256"] == facts["weights_sha256"]
    exported = program(net, dynamic=FREE)
    for path in (saved, copy):
        save_exported(path, exported, preprocess=bs.Preprocess((16, 12), 18, (0.5,) * 3, (0.5,) * 3), classes=None)
    assert copy.read_bytes() == saved.read_bytes()
    with torch.no_grad():
        net[-1].bias += 1
    save_exported(
        copy, program(net, dynamic=FREE), preprocess=bs.Preprocess((16, 12), 18, (0.5,) * 3, (0.5,) * 3), classes=None
    )
    assert load_classifier(f"export:{copy}").provenance["weights_sha256"] != facts["weights_sha256"]


def test_moving_to_a_device_that_is_not_here(saved):
    classifier = load_classifier(f"export:{saved}")
    with pytest.raises(ModelError, match="cannot be moved to cuda"):
        classifier.prepare(torch.device("cuda:99"), torch.float32)  # nowhere are there so many


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_program_runs_on_another_device_and_comes_back(path, net, preprocess, batch):
    exported = torch.export.export(Keyword(net), (batch,), dynamic_shapes={"pixel_values": {0: Dim("batch")}})
    save_exported(path, exported, preprocess=preprocess, classes=None)
    classifier = load_classifier(f"export:{path}")
    expected = classifier.logits(batch)
    classifier.prepare(torch.device("cuda"), torch.float32)
    logits = classifier.logits(batch.cuda())
    assert logits.device.type == "cuda"
    torch.testing.assert_close(logits.cpu(), expected, rtol=1e-3, atol=1e-4)
    classifier.prepare(CPU, torch.float32)
    torch.testing.assert_close(classifier.logits(batch), expected)


def test_weights_options_and_other_precisions_are_input_errors(saved):
    with pytest.raises(InputError, match="holds its own weights"):
        load_classifier(f"export:{saved}", weights="net.pt")
    with pytest.raises(InputError, match="holds its own weights and network"):
        load_classifier(f"export:{saved}?num_classes=3")
    with pytest.raises(InputError, match="its own precision"):
        load_classifier(f"export:{saved}").prepare(CPU, torch.bfloat16)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 16, 12, 3), r"takes 16 channels .* in NCHW order"),
        ((2, 3, 16), r"not floats of shape \(n, c, h, w\)"),
        ((2, 3, 16, 16), "expects 3 x 16 x 16 .* gives 3 x 16 x 12"),
        ((2, 1, 16, 12), "expects 1 x 16 x 12 .* gives 3 x 16 x 12"),
    ],
)
def test_programs_that_are_no_such_classifier_are_refused(path, shape, message):
    torch.export.save(torch.export.export(nn.Flatten(), (torch.zeros(shape),)), path)
    with pytest.raises(ModelError, match=message):
        load_classifier(f"export:{path}", overrides=SETTINGS | {"input_size": (3, 16, 12)})


class Two(nn.Module):
    def forward(self, image, other):
        return (image + other).mean((2, 3))


class Number(nn.Module):
    def forward(self, number):
        return torch.zeros(2, number)


class Spatial(nn.Module):
    def forward(self, image):
        return image * 2


def test_other_inputs_and_outputs_are_refused(path):
    images = torch.zeros(2, 3, 16, 12)
    torch.export.save(torch.export.export(Two(), (images, images)), path)
    with pytest.raises(ModelError, match="takes 2 inputs"):
        load_classifier(f"export:{path}", overrides=SETTINGS)
    torch.export.save(torch.export.export(nn.Flatten(), (images.to(torch.uint8),)), path)
    with pytest.raises(ModelError, match=r"takes torch\.uint8 of shape"):
        load_classifier(f"export:{path}", overrides=SETTINGS)
    torch.export.save(torch.export.export(Number(), (5,)), path)
    with pytest.raises(ModelError, match="takes 5, not floats"):
        load_classifier(f"export:{path}", overrides=SETTINGS)
    torch.export.save(torch.export.export(Spatial(), (images,)), path)
    with pytest.raises(ModelError, match="one row of logits an image"):
        probe_outputs(load_classifier(f"export:{path}", overrides=SETTINGS))


# ---- files that are damaged, or could run code


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


def test_saving_leaves_nothing_half_written(tmp_path, net, preprocess):
    exported = program(net)
    with pytest.raises(InputError, match=r"must end in \.pt2"):
        save_exported(tmp_path / "net.pt", exported, preprocess=preprocess, classes=None)
    with pytest.raises(ModelError, match="cannot be written"):
        save_exported(tmp_path / "none" / "net.pt2", exported, preprocess=preprocess, classes=None)
    bs.save_exported(tmp_path / "net.pt2", exported, preprocess=preprocess, classes=None)
    assert [file.name for file in tmp_path.iterdir()] == ["net.pt2"]
