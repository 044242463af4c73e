import re

import pytest

from lightning_abkd.cli._errors import readable_errors
from lightning_abkd.data import read_records
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


def test_what_the_library_says_is_shown_and_not_what_it_read(tmp_path, capsys):
    (path := tmp_path / "a.json").write_text("[\n{]")
    with pytest.raises(SystemExit), readable_errors():
        read_records(path)
    assert capsys.readouterr().err.startswith(f"abkd: {path} should be JSON. Found ")
