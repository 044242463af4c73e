import pytest
from jsonargparse import Namespace

from lightning_abkd.cli._data_files import check_data_files


def config(name="lightning_abkd.data.InstructionDataModule", **options):
    return Namespace(fit=Namespace(data=Namespace(class_path=name, init_args=Namespace(**options))))


@pytest.mark.parametrize("name", ["train_file", "validation_file"])
def test_a_missing_file_is_named_before_anything_is_built(name):
    with pytest.raises(FileNotFoundError, match="Found no file at none.jsonl"):
        check_data_files(config(**{name: "none.jsonl"}), "fit")


def test_files_that_the_command_does_not_read_may_be_missing():
    check_data_files(config(test_file="none.jsonl"), "fit")
    check_data_files(config(), "fit")


def test_other_data_are_left_alone():
    check_data_files(config("lightning_abkd.data.FashionMNISTDataModule", train_file="none.jsonl"), "fit")
    check_data_files(Namespace(fit=Namespace(data=None)), "fit")
