"""Boxes: formats against each other, names against luck, and files that mean no good."""

import csv
import json
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandscope.datasets.boxes import Boxes, check_inside, load_boxes
from bandscope.errors import DataError

SOURCES = ("n01/a.JPEG", "n01/b.JPEG", "n02/c.JPEG")
WIDTH, HEIGHT = 500, 375
NONE = [np.nan] * 4
coordinates = st.integers(0, 300)
boxes_of_images = st.dictionaries(
    st.sampled_from(SOURCES), st.tuples(coordinates, coordinates, st.integers(1, 200), st.integers(1, 75)), min_size=1
)


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def write_csv(path: Path, rows, header="source,x0,y0,x1,y1") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


def coco(boxes, names=SOURCES, **image) -> dict:
    """`boxes`: (index of the image, x, y, width, height) each."""
    images = [
        {"id": 10 + i, "file_name": name, "width": WIDTH, "height": HEIGHT} | image for i, name in enumerate(names)
    ]
    annotations = [{"id": k, "image_id": 10 + i, "bbox": box} for k, (i, *box) in enumerate(boxes)]
    return {"images": images, "annotations": annotations}


def voc(*boxes, name: str | None = "a", width=WIDTH, height=HEIGHT) -> str:
    """`boxes`: xmin, ymin, xmax, ymax each; a part of an object has a box of its own, as in VOC's layouts."""
    part = "<part><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    edges = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        f"<object><name>n01</name><bndbox>{''.join(f'<{e}>{v}</{e}>' for e, v in zip(edges, box, strict=True))}"
        f"</bndbox>{part}</object>"
        for box in boxes
    )
    filename = "" if name is None else f"<filename>{escape(name)}</filename>"
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><folder>val</folder>{filename}{size}{objects}</annotation>"


# --- formats --------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(boxes_of_images)
def test_every_format_tells_the_same_boxes(tmp_path_factory, given_boxes) -> None:
    folder = tmp_path_factory.mktemp("boxes")
    corners = [(name, x, y, x + w, y + h) for name, (x, y, w, h) in given_boxes.items()]
    named_edges = [(WIDTH, HEIGHT, "n01", *row) for row in corners]
    for name, x0, y0, x1, y1 in corners:
        write(folder / "voc" / f"{name}.xml", voc((x0 + 1, y0 + 1, x1, y1), name=Path(name).stem))
    files = [
        write_csv(folder / "a.csv", corners),
        write_csv(folder / "b.csv", named_edges, "width,height,class,filename,xmin,ymin,xmax,ymax"),
        write_csv(folder / "c.csv", [(n, *box) for n, box in given_boxes.items()], "Image, X,Y,Width,Height"),
        write(folder / "d.json", json.dumps(coco([(SOURCES.index(n), *box) for n, box in given_boxes.items()]))),
        folder / "voc",
    ]
    expected = np.array([{n: box for n, *box in corners}.get(name, NONE) for name in SOURCES], dtype=float)
    for file in files:
        boxes = load_boxes(file, SOURCES)
        np.testing.assert_array_equal(boxes.values, expected)
        assert boxes.spec == str(file)
        assert boxes.missing == len(SOURCES) - len(given_boxes)
        assert boxes.fingerprint == Boxes(expected, "").fingerprint


@pytest.mark.parametrize(
    "text", [json.dumps(coco([(0, 1, 2, 3, 4)])), voc((2, 3, 4, 6)), "path;x;y;width;height\na;1;2;3;4"]
)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_a_format_is_known_by_its_content_too(tmp_path, text, bom) -> None:
    boxes = load_boxes(write(tmp_path / "boxes", bom + b" \n" * (text[0] == "{") + text.encode()), SOURCES)
    np.testing.assert_array_equal(boxes.values, [[1, 2, 4, 6], NONE, NONE])


def test_voc_counts_pixels_from_one_and_both_ends_belong_to_the_box(tmp_path) -> None:
    whole = load_boxes(write(tmp_path / "a.xml", voc((1, 1, WIDTH, HEIGHT))), SOURCES)
    assert whole.values[0].tolist() == [0, 0, WIDTH, HEIGHT]
    one_pixel = load_boxes(write(tmp_path / "a.xml", voc((7, 9, 7, 9))), SOURCES)
    assert one_pixel.values[0].tolist() == [6, 8, 7, 9]


def test_voc_without_a_filename_is_called_as_its_file(tmp_path) -> None:
    write(tmp_path / "val" / "deep" / "c.XML", voc((1, 1, 2, 2), name=None))
    write(tmp_path / "val" / "._c.xml", b"\0\5\x16\7")  # what macOS leaves beside files
    np.testing.assert_array_equal(load_boxes(tmp_path / "val", SOURCES).values, [NONE, NONE, [0, 0, 2, 2]])


def test_voc_in_utf_16(tmp_path) -> None:
    text = f'<?xml version="1.0" encoding="utf-16"?>{voc((1, 1, 2, 2))}'
    assert load_boxes(write(tmp_path / "a.xml", text.encode("utf-16")), SOURCES).missing == 2


def test_the_largest_box_is_taken_and_of_equals_the_first(tmp_path) -> None:
    rows = [("a", 0, 0, 9, 9), ("n01/a.JPEG", 5, 5, 35, 10), ("a.JPEG", 6, 6, 36, 11), ("b", 0, 0, 1, 1)]
    boxes = load_boxes(write_csv(tmp_path / "a.csv", rows), SOURCES)
    np.testing.assert_array_equal(boxes.values, [[5, 5, 35, 10], [0, 0, 1, 1], NONE])


def test_the_box_of_a_crowd_is_no_objects(tmp_path) -> None:
    content = coco([(0, 0, 0, 100, 100), (0, 1, 2, 3, 4)])
    content["annotations"][0]["iscrowd"] = 1
    boxes = load_boxes(write(tmp_path / "a.json", json.dumps(content)), SOURCES)
    assert boxes.values[0].tolist() == [1, 2, 4, 6]


def test_coco_images_without_boxes_may_be_any(tmp_path) -> None:
    content = coco([(0, 1, 2, 3, 4)], names=(*SOURCES, "elsewhere.jpg"))
    assert load_boxes(write(tmp_path / "a.json", json.dumps(content)), SOURCES).missing == 2


def test_a_sample_takes_its_boxes_along(tmp_path) -> None:
    boxes = load_boxes(write_csv(tmp_path / "a.csv", [("a", 0, 0, 1, 1), ("c", 0, 0, 2, 2)]), SOURCES)
    sample = boxes.take(np.array([2, 1]))
    np.testing.assert_array_equal(sample.values, [[0, 0, 2, 2], NONE])
    assert (len(sample), sample.missing, sample.spec) == (2, 1, boxes.spec)
    assert sample.fingerprint != boxes.fingerprint


# --- names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["n01/a.JPEG", "./n01/a.JPEG", "n01\\a.JPEG", "/data/val/n01/a.JPEG", "a.JPEG", "elsewhere/a.JPEG", "a", "a.xml"],
)
def test_ways_to_name_an_image(tmp_path, name) -> None:
    boxes = load_boxes(write_csv(tmp_path / "a.csv", [(name, 0, 0, 1, 1)]), SOURCES)
    np.testing.assert_array_equal(boxes.values, [[0, 0, 1, 1], NONE, NONE])


TWINS = ("x/a.v1.png", "y/a.v1.png", "y/a.v1.jpg", "y/b.png")


@pytest.mark.parametrize(("name", "position"), [("x/a.v1.png", 0), ("/z/y/a.v1.png", 1), ("a.v1.jpg", 2), ("b", 3)])
def test_the_surest_way_counts(tmp_path, name, position) -> None:
    boxes = load_boxes(write_csv(tmp_path / "a.csv", [(name, 0, 0, 1, 1)]), TWINS)
    assert np.flatnonzero(~np.isnan(boxes.values[:, 0])).tolist() == [position]


@pytest.mark.parametrize("name", ["a.v1.png", "a.v1", "z/a.v1.png", "a.v1.gif"])
def test_a_name_of_several_images_is_refused_with_a_list(tmp_path, name) -> None:
    with pytest.raises(DataError, match=r"1 images that may each be several.*x/a.v1.png.*y/a.v1.png"):
        load_boxes(write_csv(tmp_path / "a.csv", [(name, 0, 0, 1, 1)]), TWINS)


def test_names_of_no_image_are_refused_with_a_list(tmp_path) -> None:
    rows = [("a", 0, 0, 1, 1), *((f"z{i}", 0, 0, 1, 1) for i in range(12)), ("", 0, 0, 1, 1)]
    with pytest.raises(DataError, match=r"13 images.*'z0', 'z1'.*\(13 in all\).*'n01/a.JPEG'"):
        load_boxes(write_csv(tmp_path / "a.csv", rows), SOURCES)


# --- boxes that cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((5, 0, 5, 9), "no area"),
        ((0, 9, 5, 3), "no area"),
        (("nan", 0, 5, 9), "not finite"),
        ((0, 0, "inf", 9), "not finite"),
        ((-2, 0, 5, 9), "outside its image"),
        ((0, -1.5, 5, 9), "outside its image"),
        ((0, -1, 5, -0.5), "outside its image"),
        (("five", 0, 5, 9), "'five' where a number"),
        (("", 0, 5, 9), "'' where a number"),
    ],
)
def test_impossible_boxes_are_refused_with_their_line(tmp_path, box, message) -> None:
    file = write_csv(tmp_path / "a.csv", [("b", 0, 0, 1, 1), ("a", *box)])
    with pytest.raises(DataError, match=message) as caught:
        load_boxes(file, SOURCES)
    assert "ine 3 of " in str(caught.value)


@pytest.mark.parametrize("x1", [WIDTH + 1.01, 10 * WIDTH])
def test_a_box_outside_the_size_that_the_file_tells_is_refused(tmp_path, x1) -> None:
    rows = [("a", WIDTH, HEIGHT, 0, 0, x1, 9)]
    files = [
        write_csv(tmp_path / "a.csv", rows, "source,width,height,x0,y0,x1,y1"),
        write(tmp_path / "a.json", json.dumps(coco([(0, 0, 0, x1, 9)]))),
        write(tmp_path / "a.xml", voc((1, 1, x1, 9))),
    ]
    for file in files:
        with pytest.raises(DataError, match=f"outside its image of {WIDTH} x {HEIGHT} pixels"):
            load_boxes(file, SOURCES)


def test_a_size_of_zero_is_no_size_and_a_negative_one_is_refused(tmp_path) -> None:
    assert load_boxes(write(tmp_path / "a.xml", voc((1, 1, 9999, 9), width=0, height=0)), SOURCES).missing == 2
    with pytest.raises(DataError, match="-5 x 375 pixels"):
        load_boxes(write(tmp_path / "a.xml", voc((1, 1, 9, 9), width=-5)), SOURCES)


@given(
    st.tuples(*[st.floats(-1, 0)] * 2, *[st.floats(0, 1)] * 2),
    st.integers(2, 1000),
    st.integers(2, 1000),
)
def test_a_box_is_clipped_to_the_image_within_a_pixel(beyond, width, height) -> None:
    box = np.array([0, 0, width, height]) + beyond
    assert check_inside(box, width, height, "a").tolist() == [0, 0, width, height]


def test_a_box_inside_is_left_alone() -> None:
    box = np.array([0.25, 1.5, 63.75, 64.0])
    np.testing.assert_array_equal(check_inside(box, 64, 64, "a"), box)


@pytest.mark.parametrize(
    "box", [(-1.1, 0, 9, 9), (0, 0, 65.1, 9), (0, 0, 9, 33.1), (64.2, 0, 64.9, 9), (np.nan, 0, 9, 9)]
)
def test_a_box_beyond_the_image_is_refused(box) -> None:
    with pytest.raises(DataError, match=r"of n01/a\.JPEG lies outside its image of 64 x 32 pixels"):
        check_inside(np.array(box), 64, 32, "n01/a.JPEG")


# --- files that cannot be -------------------------------------------------------------------------------

BOMB = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "header"),
        ("a.csv", "source,x0,y0,x1,y1\n", "no boxes"),
        ("a.csv", "x0,y0,x1,y1\n0,0,1,1\n", "must have one of source, image"),
        ("a.csv", "source,x0,y0,x1\na,0,0,1\n", "xmin,ymin,xmax,ymax"),
        ("a.csv", "source,x0,x0,y0,x1,y1\na,0,0,0,1,1\n", "each once"),
        ("a.csv", "source,x0,y0,x1,y1\na,0,0,1\n", "ine 2 .* as many cells"),
        ("a.csv", "source,x0,y0,x1,y1\na,0,0,1,1,1\n", "ine 2 .* as many cells"),
        ("a.csv", 'source,x0,y0,x1,y1\n"a,0,0,1,1\n', "cannot be parsed"),
        ("a.csv", b"\xff\xd8\xff\xe0\x00\x10JFIF", "cannot be parsed"),
        ("a.csv", "source,x0,y0,x1,y1\n" + "a" * 200_000 + ",0,0,1,1\n", "cannot be parsed"),
        ("a.json", "", "cannot be parsed"),
        ("a.json", '{"images": [', "cannot be parsed"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.json", '{"images": ' + "9" * 5000 + "}", "cannot be parsed"),
        ("a.json", "[]", "not COCO's JSON"),
        ("a.json", '{"images": []}', "not COCO's JSON"),
        ("a.json", '{"images": [], "annotations": []}', "no boxes"),
        ("a.json", '{"images": 5, "annotations": []}', "not COCO's JSON"),
        ("a.json", '{"images": [{}], "annotations": []}', "lacks 'id'"),
        ("a.json", '{"images": [{"id": []}], "annotations": []}', "not COCO's JSON"),
        ("a.json", '{"images": [], "annotations": [7]}', "not COCO's JSON"),
        ("a.json", '{"images": [], "annotations": [{"id": 3, "image_id": 8}]}', "nnotation 3 .* of image 8"),
        ("a.json", json.dumps(coco([(0, 1, 2, 3)])), "not COCO's JSON"),
        ("a.json", json.dumps(coco([(0, 1, 2, 3, True)])), "True where a number"),
        ("a.json", json.dumps(coco([(0, 1, 2, 3, 10**400)])), "where a number"),
        ("a.json", json.dumps(coco([(0, 1, 2, 3, float("nan"))])), "not finite"),
        ("a.json", json.dumps(coco([(0, 1, 2, 3, -4)])), "no area"),
        ("a.json", json.dumps(coco([(0, 1, 2, 3, 4)], file_name=None)), "which is not text"),
        ("a.json", json.dumps(coco([(0, 1, 2, 3, 4)], width="wide")), "'wide' where a number"),
        ("a.xml", "", "cannot be parsed"),
        ("a.xml", "<annotation><object>", "cannot be parsed"),
        ("a.xml", "<svg/>", "root is <svg>"),
        ("a.xml", voc(), "no boxes"),
        ("a.xml", "<annotation><object/></annotation>", "None where a number"),
        ("a.xml", voc((1, 1, "&#65;", 2)), "'A' where a number"),
        ("a.xml", voc((1, 1, "&unknown;", 2)), "cannot be parsed"),
        ("a.xml", f"<!DOCTYPE b [{BOMB}]>{voc((1, 1, 2, 2)).replace('val', '&a9;')}", "DOCTYPE"),
        ("a.xml", '<!DOCTYPE b [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotation>&f;</annotation>', "DOCTYPE"),
        ("a.xml", '<!DOCTYPE b SYSTEM "http://127.0.0.1:9/b.dtd"><annotation/>', "DOCTYPE"),
        ("a.xml", '<?xml version="1.0" encoding="no-such"?><annotation/>', "cannot be parsed"),
        ("a.xml", b"\xff\xd8\xff\xe0\x00\x10JFIF", "cannot be parsed"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used_are_refused_in_a_sentence(tmp_path, name, content, message) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_boxes(write(tmp_path / name, content), SOURCES)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value)) < 600


def test_missing_files_and_folders_without_boxes_are_refused(tmp_path) -> None:
    with pytest.raises(DataError, match=r"no file of boxes .*no\.csv"):
        load_boxes(tmp_path / "no.csv", SOURCES)
    with pytest.raises(DataError, match=r"holds no \.xml file"):
        load_boxes(tmp_path, SOURCES)
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(DataError, match=r"holds no \.xml file"):
        load_boxes(tmp_path / "a.csv", SOURCES)
