"""Which columns of a data set are the images and their labels."""

import datasets
import numpy as np
import pytest
from hub_tables import NAMES, own_cache, table  # noqa: F401 - a fixture that every test here gets
from small_images import encoded, pixels

from bandscope.datasets.hf import HuggingFace
from bandscope.errors import DataError, ImageError


class TestColumns:
    @pytest.fixture
    def make(self, tmp_path):
        def made(**more):
            table(**more).save_to_disk(tmp_path / "one")
            return tmp_path / "one"

        return made

    def test_of_another_name_are_found_by_type(self, tmp_path):
        renamed = table().rename_columns({"image": "jpg", "label": "fine"})
        renamed.save_to_disk(tmp_path / "one")
        assert HuggingFace(tmp_path / "one").labels.tolist() == [0, 2, 1, 0, 1]

    def test_several_labels(self, make):
        coarse = datasets.ClassLabel(names=["animal", "thing"]), [0, 1, 0, 0, 0]
        root = make(coarse=coarse, year=(datasets.Value("int32"), [7, 8, 7, 7, 7]))
        with pytest.raises(
            DataError,
            match=r"several columns could be the label: label, coarse\. Say which: \?label=NAME; its columns are "
            r"image \(Image\), label \(ClassLabel\), coarse \(ClassLabel\), year \(Value of int32\)",
        ):
            HuggingFace(root)
        assert HuggingFace(root, label="coarse").labels.tolist() == [0, 1, 0, 0, 0]
        assert [label.name for label in HuggingFace(root, label="year").classes] == ["7", "8"]

    def test_several_images(self, make):
        masks = [{"bytes": encoded(pixels(20 + i)), "path": None} for i in range(5)]
        root = make(mask=(datasets.Image(), masks))
        with pytest.raises(
            DataError, match=r"several columns could be the image: image, mask\. Say which: \?image=NAME"
        ):
            HuggingFace(root)
        np.testing.assert_array_equal(HuggingFace(root, image="mask")[1], pixels(21))

    def test_images_as_plain_bytes(self, make):
        root = make(raw=(datasets.Value("binary"), [encoded(pixels(9 + i)) for i in range(4)] + [None]))
        source = HuggingFace(root, image="raw")
        np.testing.assert_array_equal(source[2], pixels(11))
        with pytest.raises(ImageError, match="no bytes"):
            source[4]
        assert len(source.fingerprint()) == 64

    @pytest.mark.parametrize(
        ("feature", "values", "classes", "labels"),
        [
            (datasets.Value("string"), ["dog", "cat", "dog"], ["cat", "dog"], [1, 0, 1]),
            (datasets.Value("uint8"), [30, 7, 30], ["7", "30"], [1, 0, 1]),
            (datasets.Value("int64"), [-5, 7, 7], ["-5", "7"], [0, 1, 1]),
        ],
    )
    def test_labels_without_names(self, tmp_path, feature, values, classes, labels):
        images = table((0, 0, 0)).remove_columns("label")
        images.add_column("label", values, feature=feature).save_to_disk(tmp_path / "one")
        source = HuggingFace(tmp_path / "one")
        assert [label.name for label in source.classes] == classes
        assert source.labels.tolist() == labels

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"image": "img"},
                r"no column 'img'; its columns are image, label, score.*\?image=NAME.*Did you mean 'image'",
            ),
            ({"label": "lable"}, "no column 'lable'.*Did you mean 'label'"),
            ({"image": "label"}, "is ClassLabel; expected an Image, or bytes"),
            ({"label": "image"}, "is Image; expected a ClassLabel, integers or strings"),
            ({"label": "score"}, "is Value of float32; expected a ClassLabel"),
        ],
    )
    def test_that_are_something_else(self, make, options, message):
        root = make(score=(datasets.Value("float32"), [0.5] * 5))
        with pytest.raises(DataError, match=message):
            HuggingFace(root, **options)

    def test_without_a_label_or_an_image(self, tmp_path):
        table().remove_columns("label").save_to_disk(tmp_path / "images")
        with pytest.raises(DataError, match=r"no column is surely the label\. Say which: \?label=NAME"):
            HuggingFace(tmp_path / "images")
        table().remove_columns("image").save_to_disk(tmp_path / "labels")
        with pytest.raises(DataError, match="no column is surely the image"):
            HuggingFace(tmp_path / "labels")

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ((0, -1), "Labels '-1' in column 'label' .* have no name among 3 classes .*unlabelled"),
            ((0, None), "lacks 1 of its 2"),
        ],
    )
    def test_labels_that_are_missing(self, tmp_path, labels, message):
        table(labels).save_to_disk(tmp_path / "one")
        with pytest.raises(DataError, match=message):
            HuggingFace(tmp_path / "one")

    def test_labels_out_of_range(self, tmp_path):
        """As a file may hold them that the library has not written."""
        given = datasets.Dataset.from_dict({"image": [encoded(pixels(0))] * 2, "label": [0, 7]}).cast_column(
            "image", datasets.Image()
        )
        given._info.features["label"] = datasets.ClassLabel(names=NAMES)
        given.save_to_disk(tmp_path / "one")
        with pytest.raises(DataError, match=r"Labels '7' in column 'label' .* have no name among 3 classes"):
            HuggingFace(tmp_path / "one")

    def test_without_rows(self, tmp_path):
        (tmp_path / "none").mkdir()
        table().select([]).to_parquet(tmp_path / "none" / "test.parquet")
        with pytest.raises(DataError, match=r"cannot be opened: .*no data"):
            HuggingFace(tmp_path / "none")
