import re

import pytest

from lightning_abkd.modules import DistillationModule
from tests.cli._commands import CONFIG, refused, run

pytestmark = pytest.mark.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.divergence.aplha", "1"], "model.divergence .*AlphaBetaDivergence.*'aplha' is not accepted. Did you"),
        (["--model.divergence.gamma", "1"], "'gamma' is not accepted. It accepts alpha, beta, temperature"),
        (["--model.divergence.alpha", "much"], "model.divergence.alpha .*Expected a <class 'float'>. Got value: much"),
        (["--model.divergence", "ReverseKLL"], "Found no class 'ReverseKLL'"),
        (["--model", "nowhere.Module"], "model .*No module named 'nowhere'"),
        (["--tariner.max_epochs", "3"], "unrecognized arguments: --tariner.max_epochs"),
        (["--config", "missing.yaml"], "File does not exist: .*missing.yaml"),
        (["--model.divergence.temperature", "0"], "Parameter `temperature` should be finite and greater than 0"),
        (["--ckpt_path", "missing.ckpt"], "Found no file at missing.ckpt"),
        (["--ckpt_path", "config.yaml"], "The checkpoint config.yaml cannot be read"),
    ],
)
def test_mistakes_are_one_sentence_before_training(capsys, options, message):
    assert re.search(message, refused(capsys, *options))


def test_an_unknown_key_in_the_config_is_named(folder, capsys):
    (folder / "config.yaml").write_text(CONFIG.replace("max_epochs", "max_epoch"))
    assert "does not accept option 'trainer.max_epoch'" in refused(capsys)


def test_errors_of_a_users_code_keep_their_traceback(folder, monkeypatch):
    def broken(self, batch, batch_idx):
        raise ValueError("my own mistake")

    monkeypatch.setattr(DistillationModule, "training_step", broken)
    with pytest.raises(ValueError, match="my own mistake"):
        run("fit")
