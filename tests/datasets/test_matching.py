import numpy as np
import pytest
import timm.data
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models import ResNet18_Weights

from bandscope.data import imagenet_classes
from bandscope.datasets import load_source
from bandscope.datasets.matching import match_labels, read_groups
from bandscope.datasets.names import normalised
from bandscope.errors import DataError, InputError
from bandscope.labels import ClassLabel


def names(*texts):
    return tuple(ClassLabel(text) for text in texts)


def wnids(*texts):
    return tuple(ClassLabel(text, text) for text in texts)


NAMELESS = names(*(f"category {i}" for i in range(1000)))
TORCHVISION = names(*ResNet18_Weights.DEFAULT.meta["categories"])  # names alone: "crane" and "crane bird"
INFO = timm.data.ImageNetInfo("imagenet-1k")
TIMM = tuple(ClassLabel(INFO.index_to_description(i), INFO.index_to_label_name(i)) for i in range(1000))
words = st.lists(st.text("abcdefgh", min_size=1, max_size=5), min_size=1, max_size=20, unique=True)


class TestByWordNetId:
    @pytest.mark.parametrize("model", [None, TORCHVISION, TIMM, imagenet_classes()])
    @given(chosen=st.lists(st.integers(0, 999), min_size=1, max_size=20))
    @settings(max_examples=20)
    def test_finds_imagenets_classes_in_every_imagenet_model(self, model, chosen):
        data = [ClassLabel("whatever", imagenet_classes()[i].wnid) for i in chosen]
        found = match_labels(data, model, 1000)
        assert found.dtype == np.int32
        assert found.tolist() == chosen

    def test_two_folders_may_be_one_class(self):
        data = [ClassLabel("tench old", "n01440764"), ClassLabel("tench new", "n01440764")]
        assert match_labels(data, None, 1000).tolist() == [0, 0]

    def test_the_models_own_ids_count_wherever_they_are(self):
        model = [ClassLabel("b", "n01443537"), ClassLabel("a", "n01440764")]
        assert match_labels(wnids("n01440764", "n01443537"), model, 2).tolist() == [1, 0]

    def test_other_thousand_classes_are_not_imagenets(self):
        with pytest.raises(DataError, match="1 of 1 classes"):
            match_labels(wnids("n01440764"), NAMELESS, 1000)

    def test_an_id_that_two_outputs_share_matches_neither(self):
        model = [ClassLabel("a", "n01440764"), ClassLabel("b", "n01440764")]
        with pytest.raises(DataError):
            match_labels(wnids("n01440764"), model, 2, by="wnid")


class TestByName:
    @given(words, st.randoms(use_true_random=False))
    def test_finds_every_name_however_it_is_spelt(self, texts, random):
        order = list(range(len(texts)))
        random.shuffle(order)
        model = names(*(f"{texts[i]}_x, {texts[i]}" for i in order))
        data = names(*(random.choice(["{}-X", " {}__x ", "{} X, other"]).format(text.upper()) for text in texts))
        assert match_labels(data, model, len(texts)).tolist() == [order.index(i) for i in range(len(texts))]

    def test_real_spellings(self):
        data = names("great white shark, white shark", "Great_Grey_Owl", "black-and-tan coonhound")
        for model in (TIMM, TORCHVISION):
            assert match_labels(data, model, 1000).tolist() == [2, 24, 165]

    @pytest.mark.parametrize("model", [TIMM, TORCHVISION, imagenet_classes()])
    @pytest.mark.parametrize("name", ["crane", "maillot"])
    def test_ambiguous_names_do_not_match(self, model, name):
        with pytest.raises(DataError, match=f"1 of 2 classes.*'{name}'"):
            match_labels(names("tench", name), model, 1000)

    @pytest.mark.parametrize(("wnid", "output"), [("n02012849", 134), ("n03126707", 517)])
    @pytest.mark.parametrize("model", [TIMM, TORCHVISION])
    def test_unless_the_id_tells(self, model, wnid, output):
        data = [ClassLabel("tench"), ClassLabel("crane", wnid)]
        assert match_labels(data, model, 1000).tolist() == [0, output]

    def test_a_name_whose_id_says_otherwise_does_not_match(self):
        model = [ClassLabel("crane", "n03126707"), ClassLabel("tench", "n01440764")]
        with pytest.raises(DataError, match=r"1 of 2 classes.*n02012849 crane"):
            match_labels([ClassLabel("crane", "n02012849"), ClassLabel("tench", "n01440764")], model, 2)

    def test_two_classes_do_not_share_an_output(self):
        with pytest.raises(DataError, match="2 of 3 classes"):
            match_labels(names("sea_lion", "Sea Lion", "tench"), imagenet_classes(), 1000)


class TestByIndex:
    @given(st.permutations([str(i) for i in range(12)]))
    def test_numbers_are_outputs_in_any_order(self, texts):
        for model in (None, names(*"abcdefghijkl")):
            assert match_labels(names(*texts), model, 12).tolist() == [int(text) for text in texts]

    @given(words)
    def test_as_many_classes_as_nameless_outputs(self, texts):
        assert match_labels(names(*texts, "x y"), None, len(texts) + 1).tolist() == list(range(len(texts) + 1))

    @pytest.mark.parametrize(
        ("data", "model", "outputs"),
        [
            (names("cat", "dog"), names("lion", "wolf"), 2),  # as many, but the names say otherwise
            (names("cat", "dog"), None, 3),
            (names("cat", "dog", "cow"), None, 2),
            (names(*map(str, range(10))), imagenet_classes(), 1000),  # digits are not fish
            (names(*map(str, range(10))), None, 1000),
            (names("1", "2"), None, 2),  # from one? from nought?
            (names("0", "00"), None, 2),
        ],
    )
    def test_never_by_luck(self, data, model, outputs):
        with pytest.raises(DataError, match="match no model output by wnid or name:"):
            match_labels(data, model, outputs)

    def test_when_asked_for(self):
        assert match_labels(names("cat", "dog"), names("a", "b", "c"), 3, by="index").tolist() == [0, 1]
        assert match_labels(names("7", "30"), imagenet_classes(), 1000, by="index").tolist() == [7, 30]
        with pytest.raises(DataError, match=r"1 of 2 classes.*by index: '30'"):
            match_labels(names("7", "30"), None, 10, by="index")
        with pytest.raises(DataError, match="1 of 3 classes"):
            match_labels(names("a", "b", "c"), None, 2, by="index")


class TestErrors:
    def test_list_ten_and_the_number(self):
        data = names(*(f"unheard of {i}" for i in range(25)), "tench")
        with pytest.raises(DataError) as error:
            match_labels(data, imagenet_classes(), 1000)
        assert "25 of 26 classes" in str(error.value)
        assert "'unheard of 9' ... (25 in all)" in str(error.value)
        assert "unheard of 10" not in str(error.value)
        assert "CSV" in str(error.value)

    def test_suggest_the_nearest(self):
        with pytest.raises(DataError, match="'goldfisch' -> 'goldfish'"):
            match_labels(names("tench", "goldfisch"), imagenet_classes(), 1000)

    def test_say_when_there_are_no_names(self):
        with pytest.raises(DataError, match="does not name its 7 outputs"):
            match_labels(names("tench"), None, 7)

    def test_wrong_arguments(self, tmp_path):
        with pytest.raises(InputError, match=r"'nmae'.*auto, wnid, name, index.*Did you mean 'name'"):
            match_labels(names("a"), None, 1, by="nmae")
        with pytest.raises(InputError, match="not by both"):
            match_labels(names("a"), None, 1, labels_csv=tmp_path / "x.csv", by="index")
        with pytest.raises(InputError, match="3 outputs but 1 class names"):
            match_labels(names("a"), names("a"), 3)


class TestByCsv:
    MODEL = (*wnids("n01440764", "n01443537"), ClassLabel("sea lion"), ClassLabel("crane"), ClassLabel("crane"))
    DATA = (ClassLabel("Fish"), ClassLabel("shark", "n01484850"), ClassLabel("Seal"))

    def match(self, path, text, data=DATA):
        path.write_text(text, encoding="utf-8")
        return match_labels(data, self.MODEL, 5, labels_csv=path).tolist()

    @pytest.mark.parametrize(
        "text",
        [
            "Fish,0\nn01484850,n01443537\nSeal,Sea_Lion\n",
            "class,output\nFish,n01440764 tench\nshark,1\nSeal,sea lion\nUnknown,3\n",
            "\ufeffdata class;model output\n\nfish;0\n SHARK ; 1\n\nSeal;2",
            'Fish\t0\tnote\n"shark"\t1\nSeal\t"sea lion, eared seal"\n',
            "Fish,0\r\nFish,0\r\nshark,1\r\nSeal,2\r\n",
        ],
    )
    def test_forms(self, tmp_path, text):
        assert self.match(tmp_path / "x.csv", text) == [0, 1, 2]

    def test_several_classes_may_share_an_output(self, tmp_path):
        assert self.match(tmp_path / "x.csv", "Fish,4\nshark,4\nSeal,4\n") == [4, 4, 4]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("Fish,0\nshark,1\n", "1 of 3 classes.*'Seal'"),
            ("Fish,0\nshark,5\nSeal,2\n", "Line 2 .*no output '5'"),
            ("Fish,crane\nshark,1\nSeal,2\n", "Line 1 .*no output 'crane'"),
            ("Fish,sea lyon\n", "Line 1 .*Did you mean 'sea lion'"),
            ("Fish,0\nFish,1\n", "Line 2 .*'Fish' a second output, '1'"),
            ("Fish,0\n\nshark\n", "Line 3 .*one column"),
            ("", "3 of 3 classes"),
        ],
    )
    def test_errors(self, tmp_path, text, message):
        with pytest.raises(DataError, match=message):
            self.match(tmp_path / "x.csv", text)

    def test_unreadable(self, tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            match_labels(self.DATA, None, 3, labels_csv=tmp_path / "gone.csv")
        (tmp_path / "latin.csv").write_bytes(b"caf\xe9,0\n")
        with pytest.raises(DataError, match="cannot be read"):
            match_labels(self.DATA, None, 3, labels_csv=tmp_path / "latin.csv")

    def test_loose_spelling_only_where_it_means_one(self, tmp_path):
        data = names("a-b", "a_b")
        assert self.match(tmp_path / "x.csv", "a-b,0\na_b,1\n", data) == [0, 1]
        with pytest.raises(DataError, match="2 of 2"):
            self.match(tmp_path / "x.csv", "a b,0\n", data)


class TestGroups:
    MODEL = (ClassLabel("tench", "n01440764"), ClassLabel("goldfish", "n01443537"), ClassLabel("sea lion"))

    @pytest.mark.parametrize(
        "text",
        [
            "tench,fish\nn01443537,fish\n2,mammal\n",
            "class,group\n0,fish\n1,fish\nSea_Lion,mammal\n",
            "group,index\nfish,0\nfish,1\nmammal,2\n",
            "Name;Group\ntench;fish\ngoldfish;fish\nsea lion;mammal\n",
        ],
    )
    def test_forms(self, tmp_path, text):
        (tmp_path / "g.csv").write_text(text)
        assert read_groups(tmp_path / "g.csv", self.MODEL) == {0: "fish", 1: "fish", 2: "mammal"}

    def test_ids_before_indices_of_another_model(self, tmp_path):
        (tmp_path / "g.csv").write_text("wnid,index,group\nn01443537,0,gold\n")
        assert read_groups(tmp_path / "g.csv", self.MODEL) == {1: "gold"}
        assert read_groups(tmp_path / "g.csv", names("a", "b")) == {0: "gold"}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("tench,fish\ncat,pet\ndog,pet\n", "lacks: 'cat', 'dog'"),
            ("goldfisch,fish\n", "Did you mean 'goldfish'"),
            ("3,fish\n", "lacks: '3'"),
            ("tench,fish\n0,food\n", "Line 2 .*'0' in 'food' and in 'fish'"),
            ("tench,\n", "Line 1 .*no group for 'tench'"),
            ("tench\n", "one column"),
            ("kind,group\ntench,fish\n", "columns 'kind', 'group'"),
            ("wnid,x,group\nn01440764,fish\n", "Line 2 .*2 columns, its header 3"),
            ("", "no groups"),
        ],
    )
    def test_errors(self, tmp_path, text, message):
        (tmp_path / "g.csv").write_text(text)
        with pytest.raises(DataError, match=message):
            read_groups(tmp_path / "g.csv", self.MODEL)


@given(st.text())
def test_normalised_names_stay_as_they_are(text):
    once = normalised(text)
    assert normalised(once) == once


def test_real_sets(real_data):
    images = load_source(f"folder:{real_data / 'imagenet-500'}")
    for model in (None, TIMM, TORCHVISION):
        assert match_labels(images.classes, model, 1000).tolist() == list(range(0, 1000, 2))
    tiny = load_source(f"parquet:{real_data / 'tiny-imagenet-100' / 'val.parquet'}")
    found = match_labels(tiny.classes, TORCHVISION, 1000)
    assert [TIMM[i].wnid for i in found] == [label.wnid for label in tiny.classes]
    with pytest.raises(DataError, match="10 of 10"):
        match_labels(load_source(f"torchvision:MNIST?root={real_data}").classes, TIMM, 1000)
