import json
from typing import get_args

import pytest

from lightning_abkd.data import read_class_names
from lightning_abkd.vision.data._coop import CoOpSet, names_file, read_images
from tests.vision.data._coop import write_coop


@pytest.mark.parametrize("dataset", get_args(CoOpSet))
def test_every_data_set_is_read_from_its_own_layout(tmp_path, dataset):
    write_coop(tmp_path, dataset, classes=3, per_class=2)
    assert read_class_names(names_file(tmp_path, dataset)) == ["class_0", "class_1", "class_2"]
    for part in ("train", "val", "test"):
        images = read_images(tmp_path, dataset, part)
        assert images.targets == [0, 0, 1, 1, 2, 2]
        image, label = images[5]
        assert (image.mode, label) == ("RGB", 2)


def test_imagenet_is_tested_on_its_validation_set(tmp_path):
    write_coop(tmp_path, "imagenet")
    train, val, test = (read_images(tmp_path, "imagenet", part).paths for part in ("train", "val", "test"))
    assert val == test != train


def test_names_keep_their_spaces(tmp_path):
    (tmp_path / "variants.txt").write_text("Boeing 717\nFokker 70\n\n")
    assert read_class_names(tmp_path / "variants.txt") == ["Boeing 717", "Fokker 70"]


@pytest.mark.parametrize(
    ("train", "found"),
    [
        ([["a.jpg", 0, "a"], ["b.jpg", 2, "c"]], "no name for the label 1"),
        ([["a.jpg", 0]], "no name for the label 0"),
        ([], "none"),
    ],
)
def test_a_class_without_name_is_an_error(tmp_path, train, found):
    (tmp_path / "split.json").write_text(json.dumps({"train": train, "val": [], "test": []}))
    with pytest.raises(ValueError, match=f"should name every class.*Found {found}"):
        read_class_names(tmp_path / "split.json")


@pytest.mark.parametrize("content", ["{", "[]", '{"train": []}', '{"train": [1], "val": [], "test": []}'])
def test_a_file_that_is_no_split_is_named(tmp_path, content):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(ValueError, match="should hold the lists train, val and test of"):
        read_class_names(tmp_path / "split.json")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="Found no file at nowhere.txt"):
        read_class_names("nowhere.txt")
    with pytest.raises(FileNotFoundError, match="where dtd/split_zhou_DescribableTextures.json is missing"):
        read_images(tmp_path, "dtd", "train")
    (tmp_path / "food-101").mkdir()
    (tmp_path / "food-101" / "split_zhou_Food101.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="where food-101/images is missing"):
        read_images(tmp_path, "food101", "train")


def test_folders_of_imagenet_without_a_name_would_shift_labels_and_are_refused(tmp_path):
    write_coop(tmp_path, "imagenet")
    (tmp_path / "imagenet" / "images" / "train" / "n00000009").mkdir()
    with pytest.raises(ValueError, match="else labels shift. Only one of them has: n00000009"):
        read_images(tmp_path, "imagenet", "train")


def test_an_unknown_data_set_is_an_error():
    with pytest.raises(ValueError, match="`dataset` should be 'caltech101', .* or 'ucf101'. Found `dataset = 'mnist'`"):
        names_file("data", "mnist")
