import re
import sys

import pytest
import torch
from torch._utils import ExceptionWrapper

from lightning_abkd.cli._errors import readable_errors
from lightning_abkd.data import open_image
from lightning_abkd.losses import ReverseKL
from lightning_abkd.modules import DistillationModule
from tests.cli._commands import refused, run

pytestmark = pytest.mark.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.divergence.temperature", "0"], "Parameter `temperature` should be finite and greater than 0"),
        (["--ckpt_path", "missing.ckpt"], "Found no file at missing.ckpt"),
        (["--ckpt_path", "config.yaml"], "The checkpoint config.yaml cannot be read"),
    ],
)
def test_what_the_library_refuses_is_one_sentence_before_training(capsys, options, message):
    assert re.search(message, refused(capsys, *options))


def test_what_another_library_caused_is_one_sentence(capsys, tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(SystemExit), readable_errors():
        open_image(tmp_path / "a.jpg")
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(r"abkd: File `.*a\.jpg` should be an image that can be read. Found an empty file", line)


def test_what_a_worker_of_a_loader_raised_is_one_sentence(capsys, tmp_path):
    def work():
        try:
            open_image(tmp_path / "a.jpg")
        except OSError:
            return ExceptionWrapper(where="in DataLoader worker process 0")

    with pytest.raises(SystemExit), readable_errors():
        work().reraise()
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(r"abkd: File `.*a\.jpg` should be an image that can be read. Found no such file", line)


def broken(self, batch, batch_idx):
    raise ValueError("my own mistake")


def test_errors_of_a_users_code_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(DistillationModule, "training_step", broken)
    with pytest.raises(ValueError, match="my own mistake"):
        run("fit")


def test_errors_keep_their_traceback_where_it_is_asked_for(monkeypatch):
    monkeypatch.setenv("ABKD_TRACEBACK", "1")
    with pytest.raises(ValueError, match="Parameter `temperature` should be finite"):
        run("fit", "--model.divergence.temperature", "0")


class Broken(torch.nn.Module):
    def __init__(self) -> None:
        raise ValueError("my own mistake")


class Careless(torch.nn.Module):
    def __init__(self) -> None:
        ReverseKL(temperature=0.0)


def test_an_error_of_a_users_network_comes_without_those_of_the_parser():
    with pytest.raises(ValueError, match="^my own mistake$"):
        run("fit", "--model.student", f"{__name__}.Broken")


def test_what_the_library_refuses_inside_a_users_class_is_one_sentence(capsys):
    assert "Parameter `temperature` should" in refused(capsys, "--model.student", f"{__name__}.Careless")


def test_a_missing_extra_is_one_sentence(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert "pip install 'lightning-abkd[quickstart]'" in refused(capsys)
