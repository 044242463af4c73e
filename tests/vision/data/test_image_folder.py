import unicodedata

import pytest
from PIL import Image

from lightning_abkd.vision.data._image_folder import ImageFolder, class_folders, list_images, listed
from tests.vision.data._pictures import write_folders


@pytest.fixture
def said(monkeypatch):
    messages = []
    monkeypatch.setattr("lightning_abkd.vision.data._image_folder.rank_zero_info", messages.append)
    return messages


def test_files_that_systems_write_are_no_images_and_no_classes(tmp_path, said):
    write_folders(tmp_path, ("train",))
    for name in (".DS_Store", "Thumbs.db", "a/._0.png", "a/.hidden.png", "b/desktop.ini"):
        (tmp_path / "train" / name).write_text("no image")
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir", "a/.cache"):
        (tmp_path / "train" / name).mkdir()
        (tmp_path / "train" / name / "0.png").write_text("no image")
    folder = ImageFolder(tmp_path / "train")
    assert (folder.classes, folder.targets, said) == (["a", "b"], [0, 0, 1, 1], [])


def test_other_files_are_counted_and_said(tmp_path, said):
    write_folders(tmp_path, ("train",))
    for name in ("a/notes.txt", "b/0.svg", "labels.csv"):
        (tmp_path / "train" / name).write_text("no image")
    assert len(ImageFolder(tmp_path / "train")) == 4
    assert "took 4 images and passed over 3 other files: a/notes.txt, b/0.svg, labels.csv" in said[0]
    assert len(said) == 1


def test_suffixes_of_any_case_names_of_any_script_and_links_are_read(tmp_path):
    write_folders(tmp_path, ("train",), per_class=0)
    for name in ("a/0.PNG", "a/été 1.JPeG", "b/图片.jfif", "b/9.GIF"):
        Image.new("L", (2, 2)).save(tmp_path / "train" / name, {"9.GIF": "GIF"}.get(name[2:], "PNG"))
    (tmp_path / "train" / "b" / "link.png").symlink_to(tmp_path / "train" / "a" / "0.PNG")
    (tmp_path / "train" / "c").symlink_to(tmp_path / "train" / "a")
    folder = ImageFolder(tmp_path / "train")
    assert folder.targets == [0, 0, 1, 1, 1, 2, 2]
    assert [image.size for image, _ in folder] == [(2, 2)] * 7


def test_labels_are_those_given_however_accents_are_written(tmp_path):
    for name in ("e\N{COMBINING ACUTE ACCENT}", "z"):
        (tmp_path / name).mkdir()
        Image.new("L", (2, 2)).save(tmp_path / name / "0.png")
    labels = {"z": 0, unicodedata.normalize("NFC", "e\N{COMBINING ACUTE ACCENT}"): 1}
    assert ImageFolder(tmp_path, labels).targets == [1, 0]


def test_a_class_without_images_is_named(tmp_path):
    write_folders(tmp_path, ("train",))
    (tmp_path / "train" / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no valid file for the classes empty in .*train\. The folder"):
        ImageFolder(tmp_path / "train")


def test_a_folder_without_classes_says_what_it_holds(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Couldn't find any class folder in .* Found an empty folder"):
        class_folders(tmp_path)
    (tmp_path / "val_0.JPEG").touch()
    with pytest.raises(FileNotFoundError, match=r"Found 1 files without a folder: val_0\.JPEG"):
        class_folders(tmp_path)


def test_images_without_classes_are_listed_in_order(tmp_path, said):
    write_folders(tmp_path, ("x",), per_class=1)
    (tmp_path / "readme.txt").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)] == ["x/a/0.png", "x/b/0.png"]
    assert "passed over 1 other files: readme.txt" in said[0]


def test_no_images_at_all_are_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="should hold images, files that end .* Found 0 other files"):
        list_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="Found no such folder"):
        list_images(tmp_path / "nowhere")


def test_a_long_list_ends_with_its_rest():
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
