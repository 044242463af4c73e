"""Names and links in data lead to nothing outside of their folder, for readers as for writers."""

import json
import sys

import pytest
from datasets import Dataset, DatasetDict

from lightning_abkd.cli import main
from lightning_abkd.data import BaseToNewDataModule, ImageFolderDataModule, InstructionDataModule, read_records
from lightning_abkd.language.callbacks._text_files import append_lines
from lightning_abkd.vision.data._coop import names_file
from tests.cli._commands import CONFIG
from tests.vision.data._coop import write_coop
from tests.vision.data._pictures import write_folders

OUT = "should hold its files itself. Found .*, which leads to .*set `follow_symlinks: true`"
MOVED = ["train/a/0.png", "train/a", "train", "val/b/0.png", "val"]


@pytest.fixture
def moved(tmp_path):
    """Write images, and move some of them out of the folder, where a link leads to them."""

    def move(name):
        write_folders(tmp_path / "data")
        (tmp_path / "data" / name).rename(tmp_path / "elsewhere")
        (tmp_path / "data" / name).symlink_to(tmp_path / "elsewhere")
        return tmp_path / "data"

    return move


def fit(folder, **options):
    data = ImageFolderDataModule(folder, image_size=4, **options)
    data.setup("fit")
    return data


@pytest.mark.parametrize("name", MOVED)
def test_links_out_of_a_folder_of_images_are_followed_only_where_asked_for(moved, name):
    folder = moved(name)
    with pytest.raises(ValueError, match=OUT):
        fit(folder)
    data = fit(folder, follow_symlinks=True)
    assert (len(data.sets["train"]), len(data.sets["validation"])) == (4, 4)
    assert len(list(data.val_dataloader())) == 1


def test_a_folder_of_images_may_be_a_link_itself(tmp_path):
    write_folders(tmp_path / "data")
    (tmp_path / "link").symlink_to("data")
    assert len(fit(tmp_path / "link").sets["train"]) == 4


def test_images_to_predict_are_those_of_their_folder(tmp_path):
    write_folders(tmp_path / "data")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "all").symlink_to(tmp_path / "data")
    with pytest.raises(ValueError, match=OUT):
        ImageFolderDataModule(predict_dir=tmp_path / "new").setup("predict")


@pytest.mark.parametrize("name", ["../../../secret.png", "/etc/passwd", "a/../../x.png", "..\\secret.png"])
@pytest.mark.parametrize("dataset", ["dtd", "fgvc_aircraft"])
def test_a_listing_names_images_of_its_folder(tmp_path, dataset, name):
    write_coop(tmp_path, dataset)
    listing = names_file(tmp_path, dataset)
    if dataset == "dtd":
        split = json.loads(listing.read_text())
        split["train"][0][0] = name
        listing.write_text(json.dumps(split))
    else:
        listing = listing.parent / "images_variant_train.txt"
        listing.write_text(f"{name} class_0")
    with pytest.raises(ValueError, match=f"{listing.name}` should name images in its folder. Found '.*', which"):
        BaseToNewDataModule(tmp_path, dataset).setup("fit")


@pytest.mark.parametrize(
    ("dataset", "place"), [("dtd", "images"), ("dtd", "images/train_0_0.jpg"), ("imagenet", "images/train")]
)
def test_links_out_of_a_data_set_of_coop_are_followed_only_where_asked_for(tmp_path, dataset, place):
    write_coop(tmp_path / "data", dataset)
    (tmp_path / "data" / dataset / place).rename(tmp_path / "elsewhere")
    (tmp_path / "data" / dataset / place).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=OUT):
        BaseToNewDataModule(tmp_path / "data", dataset).setup("fit")
    BaseToNewDataModule(tmp_path / "data", dataset, follow_symlinks=True).setup("fit")


def test_a_data_set_of_coop_may_be_a_link_itself(tmp_path):
    write_coop(tmp_path / "elsewhere", "dtd")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dtd").symlink_to(tmp_path / "elsewhere" / "dtd")
    BaseToNewDataModule(tmp_path / "data", "dtd").setup("fit")


@pytest.fixture
def saved(tmp_path):
    rows = Dataset.from_list([{"instruction": "a", "output": "b"}] * 3)
    rows.save_to_disk(tmp_path / "plain")
    DatasetDict({"train": rows}).save_to_disk(tmp_path / "splits")
    return tmp_path


def test_a_saved_data_set_names_files_of_its_own(saved):
    assert len(read_records(saved / "plain")) == len(read_records(saved / "splits")) == 3
    state = json.loads((saved / "plain" / "state.json").read_text())
    state["_data_files"][0]["filename"] = "../splits/train/data-00000-of-00001.arrow"
    (saved / "plain" / "state.json").write_text(json.dumps(state))
    (saved / "splits" / "dataset_dict.json").write_text(json.dumps({"splits": ["../plain"]}))
    for name in ("plain", "splits"):
        with pytest.raises(ValueError, match=r"should name files of its own. Found '\.\./.*', which leads out of it"):
            read_records(saved / name)


def test_a_saved_data_set_holds_its_files_itself(saved):
    (file,) = (saved / "plain").glob("*.arrow")
    file.rename(saved / "elsewhere.arrow")
    file.symlink_to(saved / "elsewhere.arrow")
    with pytest.raises(ValueError, match="should hold its files itself. Found .*Copy the files.$"):
        read_records(saved / "plain")


@pytest.mark.parametrize("parameter", ["validation_file", "test_file"])
@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/../../x"])
def test_a_set_is_named_by_words(parameter, name):
    with pytest.raises(ValueError, match=f"`{parameter}` should name files by words. Found '{name}', a way elsewhere"):
        InstructionDataModule(**{parameter: {name: "x.jsonl"}})


def test_lines_are_not_appended_through_a_link(tmp_path):
    (tmp_path / "other.jsonl").write_text("")
    (tmp_path / "x.jsonl").symlink_to("other.jsonl")
    with pytest.raises(ValueError, match="should be a file itself. Found a link to .*other.jsonl"):
        append_lines(tmp_path / "x.jsonl", [{"a": 1}])
    assert (tmp_path / "other.jsonl").read_text() == ""


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["abkd", *arguments])
    main()


def test_a_sweep_stays_in_its_folder(tmp_path, monkeypatch, capsys):
    (tmp_path / "outside").mkdir()
    (tmp_path / "mine.yaml").write_text(CONFIG)
    (tmp_path / "sweep" / "task_weight_1").mkdir(parents=True)
    (tmp_path / "sweep" / "task_weight_1" / "seed_0").symlink_to(tmp_path / "outside")
    options = ["--over", "model.task_weight=1", "--seeds", "0", "--folder", str(tmp_path / "sweep")]
    with pytest.raises(SystemExit):
        run(monkeypatch, "sweep", "--config", str(tmp_path / "mine.yaml"), *options)
    assert "should be one of the sweep. Found a link in its place" in capsys.readouterr().err
    assert list((tmp_path / "outside").iterdir()) == []


def test_copies_of_configs_are_not_written_through_links(tmp_path, monkeypatch, capsys):
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "student.yaml").symlink_to(tmp_path / "outside.yaml")
    with pytest.raises(SystemExit):
        run(monkeypatch, "configs", "quickstart/student", "--to", str(tmp_path))
    assert not (tmp_path / "outside.yaml").exists()
