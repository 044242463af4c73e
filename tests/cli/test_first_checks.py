import pytest
import torch
from jsonargparse import Namespace

from lightning_abkd.cli import _first_checks
from lightning_abkd.cli._addresses import show_public_addresses
from lightning_abkd.cli._first_checks import check_first
from tests.cli._commands import refused


@pytest.fixture
def no_network(monkeypatch):
    # Transforms of torchvision are modules of torch that are built when they are imported.
    show_public_addresses()
    monkeypatch.setattr(torch.nn.Module, "__init__", lambda *_: pytest.fail("built a network"))


def config(**data):
    arguments = Namespace(**data)
    return Namespace(data=Namespace(class_path="Data", init_args=arguments), trainer=Namespace(accelerator="cpu"))


def complaint(capsys, given, command="fit"):
    with pytest.raises(SystemExit, match="2"):
        check_first(given, command)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "file"),
    [("fit", "train_file"), ("fit", "validation_file"), ("validate", "validation_file"), ("test", "test_file")],
)
def test_a_missing_data_file_of_the_command_is_named(capsys, command, file):
    message = complaint(capsys, config(**{file: "confg.yaml"}), command)
    assert f"`--data.{file}` should name a file. Found none at confg.yaml. Did you mean config.yaml?" in message


def test_one_of_several_files_is_named(capsys):
    assert "Found none at no.jsonl" in complaint(
        capsys, config(test_file={"a": "config.yaml", "b": "no.jsonl"}), "test"
    )


def test_files_of_other_commands_and_addresses_are_not_asked_for():
    check_first(config(train_file="no.jsonl", test_file="s3://bucket/a.jsonl", validation_file=None), "test")


def test_a_missing_checkpoint_of_a_teacher_is_named_before_networks_are_built(capsys, no_network):
    options = [
        "--model.teacher=load_pretrained",
        "--model.teacher.network=resnet20",
        "--model.teacher.checkpoint=no.pt",
    ]
    assert "Option `--model.teacher.checkpoint` should name a file. Found none at no.pt." in refused(capsys, *options)


def test_a_missing_folder_of_a_language_model_is_named_before_it_is_loaded(capsys):
    options = ["--model.student=causal_lm", "--model.student.path=nowhere"]
    assert "Found no folder 'nowhere'" in refused(capsys, *options)


def test_a_missing_gpu_is_said(capsys, monkeypatch):
    monkeypatch.setattr(_first_checks.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(_first_checks.torch.backends.mps, "is_available", lambda: False)
    assert "Found no GPU for 'gpu'" in refused(capsys, "--trainer.accelerator", "gpu")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (
            ["--data=CIFAR100DataModule", "--data.data_dir=nowhere"],
            "'nowhere'`, which does not exist",
        ),
        (["--data=ImageFolderDataModule", "--data.data_dir=nowhere"], "There is no such folder"),
        (["--data=BaseToNewDataModule", "--data.root=nowhere"], "split_zhou_DescribableTextures.json is missing"),
    ],
)
def test_a_missing_folder_of_images_is_named_before_networks_are_built(capsys, no_network, options, found):
    assert found in refused(capsys, *options)
