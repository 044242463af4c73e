import pytest

from lightning_abkd.cli import AbkdCLI


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def shown(capsys, *arguments):
    with pytest.raises(SystemExit, match="0"):
        AbkdCLI([*arguments])
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_a_command_shows_our_options_first_in_150_lines_of_80_columns(capsys, command):
    text = shown(capsys, command, "--help")
    lines = text.splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 80
    assert text.index("--config") < text.index("--model.student") < text.index("--trainer.max_epochs")
    assert f"abkd {command} --trainer.help" in text


def test_a_module_shows_its_options_and_our_factories_in_200_lines(capsys):
    text = shown(capsys, "fit", "--model.help", "DistillationModule")
    assert len(text.splitlines()) <= 200
    assert {"resnet20,", "load_pretrained,", "causal_lm,", "DKD,", "AdamW,"} <= set(text.split())
    assert "torch.ao" not in text
    assert "  --model.student\n      Network to train.\n      (Module | null, default null)\n" in text


def test_what_is_required_is_said(capsys):
    line = ["--trainer.callbacks.help=AlphaBetaScheduler", "--trainer.callbacks.alpha.help=Linear"]
    assert "(float, required)" in shown(capsys, "fit", *line)


def test_the_trainer_shows_all_its_options(capsys):
    text = shown(capsys, "fit", "--trainer.help")
    assert {"--trainer.max_epochs", "--trainer.reload_dataloaders_every_n_epochs"} <= set(text.split())
    assert "--model" not in text
