"""Settings and addresses, images that are given, texts from elsewhere, and who goes first."""

import io
import re
import threading
import zlib
from urllib.parse import parse_qsl

import numpy as np
import pytest
import torch
from PIL import Image

import bandscope as bs
from bandscope.classifiers import load_classifier
from bandscope.errors import DataError, ImageError, InputError
from bandscope.lens import words
from bandscope.lens.chart import chart
from bandscope.lens.serve import sight_of
from bandscope.lens.session import PICKS, Sight
from bandscope.lens.setting import Setting, query, read_parameters
from bandscope.lens.shelf import GIVEN, MOST_BYTES, MOST_HELD, Shelf
from bandscope.lens.stage import answers, stage
from bandscope.lens.view import Lens, Subject

HOSTILE = (
    "<script>window.hacked=1</script>",
    "\"'><img src=x onerror=window.hacked=1>",
    "\u202eright to left שלום",
    "x" * 300,
    "🦊🦊 emoji",
    "{{ 7 * 7 }} %{x} ${y} {% raw %} {{#each value}}",
    "<b>bold</b> &lt; &amp; <br>",
    "two\nlines",
    "\udcff no text",
)
USUAL = Setting("low_pass", high=11)


@pytest.fixture(scope="module")
def sight():
    opened = sight_of("planted", "planted?per_class=2", threads=1)
    yield opened
    opened.close()


# ---- settings and addresses


@pytest.mark.parametrize(
    "setting",
    [
        Setting(),
        Setting("low_pass", high=45),
        Setting("high_pass", high=0.5, family="butterworth", zoom=0.71),
        Setting("band_pass", 8, 16, zoom=2),
        Setting("band_stop", 0, 1e-3),
    ],
    ids=str,
)
@pytest.mark.parametrize("image", [None, "a b/ü&?=#+%🦊.png", "7"])
def test_an_address_opens_what_it_was_made_of(setting, image):
    found, read = read_parameters(dict(parse_qsl(query(image, setting), strict_parsing=True)), USUAL)
    assert (found, read) == (image, setting)


def test_what_an_address_does_not_say_is_as_usual():
    assert read_parameters({}, USUAL) == (None, USUAL)
    assert read_parameters({"__theme": "dark", "zoom": "2"}, USUAL) == (None, Setting("low_pass", high=11, zoom=2))
    assert read_parameters({"family": "gaussian"}, USUAL)[1].family == "gaussian"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"low_pas": "3"}, "Did you mean 'low_pass'"),
        ({"low_pass": "3", "high_pass": "3"}, "one filter"),
        ({"filter": "none", "high_pass": "3"}, "one filter"),
        ({"filter": "low_pass"}, "filter=low_pass"),
        ({"low_pass": "wide"}, "'wide' is not a number"),
        ({"low_pass": "-1"}, "Radius -1"),
        ({"low_pass": "nan"}, "Radius nan"),
        ({"low_pass": "inf"}, "Radius inf"),
        ({"band_pass": "8"}, "such as 8-16"),
        ({"band_pass": "16-8"}, "16 to 8"),
        ({"low_pass": "3", "family": "square"}, "No filter family 'square'"),
        ({"zoom": "0"}, "zoom 0"),
        ({"zoom": "9"}, "0.25 to 4"),
        ({"zoom": "nan"}, "zoom nan"),
    ],
    ids=str,
)
def test_an_address_that_cannot_be_met_is_refused(asked, says):
    with pytest.raises(InputError, match=re.escape(says)):
        read_parameters(asked, USUAL)


def test_nothing_changes_beyond_the_end():
    assert Setting("low_pass", high=500).within(46).high == 46
    assert Setting("band_stop", 8, 500).within(46) == Setting("band_stop", 8, 46)
    with pytest.raises(InputError, match="holds nothing"):
        Setting("band_pass", 46, 50).within(46)


# ---- images


def encoded(image: Image.Image, kind: str = "PNG", **settings) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def bomb() -> bytes:
    """The head of a PNG of 60,000 x 60,000 pixels."""
    content = bytearray(encoded(Image.new("L", (1, 1))))
    content[16:24] = (60_000).to_bytes(4) * 2
    crc = zlib.crc32(content[12:29]).to_bytes(4)
    content[29:33] = crc
    return bytes(content)


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8))
BAD = {
    "empty.png": (b"", "zero bytes"),
    "text.png": (b"this is no image", "not an image"),
    "half.jpg": (encoded(NOISE, "JPEG")[:900], "truncated"),
    "bomb.png": (bomb(), "decompression bomb"),
    "large.png": (bytes(MOST_BYTES + 1), "25.0 MB, and at most 25 MB"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_refused_in_words(tmp_path, name):
    content, says = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=says):
        Shelf().take(tmp_path / name)


@pytest.mark.parametrize(
    ("image", "kind", "settings"),
    [
        (NOISE.convert("CMYK"), "JPEG", {}),
        (Image.fromarray(np.full((70, 90), 40_000, dtype=np.uint16)), "PNG", {}),
        (NOISE.convert("P"), "GIF", {"save_all": True, "append_images": [NOISE.convert("P")] * 2}),
        (NOISE.convert("RGBA"), "PNG", {}),
        (NOISE.convert("1"), "PNG", {}),
    ],
    ids=["CMYK", "16 bit", "animated", "transparent", "bilevel"],
)
def test_unusual_images_are_seen_as_an_audit_sees_them(tmp_path, sight, image, kind, settings):
    path = tmp_path / "image"
    path.write_bytes(encoded(image, kind, **settings))
    subject = sight.shelf.subject(sight.shelf.take(path))
    with Image.open(path) as decoded:
        expected = sight.lens.classifier.preprocess.crop(decoded)
    np.testing.assert_array_equal(sight.lens.crop(subject, 1.0).pixels, expected)
    assert "What the network sees" in sight.see(subject.key, Setting(), "visitor").stage


def test_few_images_are_held_and_none_is_found_without_its_key(tmp_path, sight):
    shelf, keys = Shelf(sight.shelf.source, sight.shelf.labels), []
    for number in range(MOST_HELD + 1):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encoded(NOISE))
        keys.append(shelf.take(path, keep=not number))
    assert len({*keys}) == MOST_HELD + 1
    assert all(shelf.subject(key).name == f"{number}.png" for number, key in enumerate(keys))
    shelf.subject("3")
    with pytest.raises(InputError, match="no longer in memory"):
        shelf.subject(keys[1])
    assert shelf.subject(keys[0]).label is None
    assert shelf.subject("3").label == int(shelf.labels[3])
    with pytest.raises(InputError, match="no image"):  # an address cannot name what others gave
        shelf.position(keys[0])


def test_images_are_found_by_position_path_and_end_of_a_path(sight):
    shelf, paths = sight.shelf, sight.shelf.source.paths
    assert shelf.position("7") == 7
    assert shelf.position(str(paths[7])) == 7
    assert shelf.position(str(paths[7])[3:]) == 7
    for image, says in (("18", "0 to 17"), ("-1", "no image"), ("0000", "9 images end in '0000'"), ("", "no image")):
        with pytest.raises(InputError, match=says):
            shelf.position(image)
    with pytest.raises(InputError, match="without an image set"):
        Shelf().position("0")


def test_a_key_is_a_position_even_where_paths_are_numbers():
    class Renamed:
        spec, paths = "numbers", [str(17 - k) for k in range(18)]

        def __len__(self):
            return 18

        def __getitem__(self, position):
            return Image.new("RGB", (4, 4), (position, 0, 0))

    shelf = Shelf(Renamed())
    assert shelf.position("3") == 14  # the image of that path
    assert shelf.subject("3").image.getpixel((0, 0)) == (3, 0, 0)
    for key in ("18", "-1", "x", ""):
        with pytest.raises(InputError, match="no image"):
            shelf.subject(key)


def test_classes_that_match_no_output_are_refused():
    with pytest.raises(DataError, match="match"):
        Shelf.of(bs.load_source("planted"), [bs.ClassLabel(str(k)) for k in "abc"], 3)


def test_pages_of_pictures(sight):
    found, page = sight.picks(0)
    assert (len(found), page) == (PICKS, 0)
    last, page = sight.picks(99)
    assert (page, last[-1].position) == (2, 17)
    assert sight.picks(-5)[0] == found
    assert found[2].name == sight.lens.names[int(sight.shelf.labels[2])]


# ---- words


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_foreign_texts_are_texts(hostile):
    shown = words.text(hostile)
    inside = shown.removeprefix("<bdi>").removesuffix("</bdi>")
    assert not set("<>\"'{}$\n") & {*inside}
    assert len(inside) < 400
    inside.encode()


def test_hostile_names_in_every_part():
    preprocess = bs.Preprocess(size=(16, 16), resize=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    classes = [bs.ClassLabel(name) for name in HOSTILE]
    scores = torch.arange(len(HOSTILE), dtype=torch.float32)
    lens = Lens(load_classifier(lambda batch: scores.repeat(len(batch), 1), preprocess=preprocess, classes=classes))
    subject = Subject("given-0", HOSTILE[0], NOISE, label=0)
    look = lens.look(subject, Setting("low_pass", high=3))
    *_, curve = lens.measure_curve(subject, look.setting)
    parts = [
        stage(look, subject, lens.names, lens.convention),
        answers(look, lens.names),
        chart(look, curve, lens.names, 11.0),
    ]
    for part in parts:
        assert not re.search(r"<(script|b>bold|br|img src=x)|\{|\$", part)
    assert "&lt;script&gt;" in parts[1]
    assert parts[1].count("<tr") == 1 + 5 + 1  # the head, the five best, and the label, which is the last of nine


def test_changes_are_written_with_their_sign():
    assert [words.points(x) for x in (0.1234, -0.1234, 0.0, 4e-4, -4e-4)] == ["+12.3", "−12.3", "0.0", "0.0", "0.0"]


# ---- who goes first


def test_a_curve_is_given_up_for_another(sight):
    seen = [sight.see("5", Setting("low_pass", high=5, zoom=zoom), "me") for zoom in (1.1, 1.2)]
    assert all("Measuring" in one.chart for one in seen)
    assert sight.trace("5", Setting("low_pass", high=5, zoom=1.1), "me") is None
    drawn = sight.trace("5", Setting("low_pass", high=5, zoom=1.2), "me")
    assert "Measuring" not in drawn
    assert "polyline" in drawn
    moved = sight.see("5", Setting("low_pass", high=9, zoom=1.2), "me").chart
    assert "polyline" in moved  # a slider moves along the same curve
    assert sight.trace("5", Setting("low_pass", high=9, zoom=1.2), "me") == moved


def test_many_visitors_at_once_get_their_own_answers(sight):
    settings = [Setting("low_pass", high=radius) for radius in range(1, 9)]
    alone = [sight.see("2", setting, "me").stage for setting in settings]
    found: dict[int, str] = {}

    def ask(place: int) -> None:
        found[place] = sight.see("2", settings[place], f"visitor {place}").stage

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[place] for place in range(8)] == alone
    assert len({*alone}) == len(settings)


def test_without_images_there_is_nothing_to_choose():
    preprocess = bs.Preprocess(size=(16, 16), resize=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    lens = Lens(load_classifier(lambda batch: batch.mean((2, 3)), preprocess=preprocess))
    sight = Sight(lens, Shelf(), Setting())
    assert sight.picks(3) == ([], 0)
    assert not GIVEN.isdigit()
    sight.close()
