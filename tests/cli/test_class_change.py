import pytest
import yaml

from tests.cli._commands import CONFIG, run


def printed(capsys, *options):
    with pytest.raises(SystemExit, match="0"):
        run("fit", *options, "--print_config")
    return yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]


def test_another_optimizer_has_its_own_defaults(capsys):
    found = printed(capsys, "--model.optimizer", "SGD", "--model.optimizer.lr", "0.5")["optimizer"]["init_args"]
    assert (found["lr"], found["weight_decay"], found["momentum"]) == (0.5, 0.0, 0.0)


def test_what_was_given_is_kept(folder, capsys):
    given = "    optimizer: {class_path: torch.optim.AdamW, init_args: {weight_decay: 0.3}}\n    teacher:"
    (folder / "config.yaml").write_text(CONFIG.replace("    teacher:", given))
    assert printed(capsys, "--model.optimizer", "SGD")["optimizer"]["init_args"]["weight_decay"] == 0.3


def test_another_divergence_keeps_what_both_take(folder, capsys):
    (folder / "config.yaml").write_text(CONFIG.replace("{alpha: 0.8}", "{alpha: 0.8, temperature: 4.0}"))
    found = printed(capsys, "--model.divergence", "ReverseKL")["divergence"]["init_args"]
    assert found["temperature"] == 4.0
    assert "alpha" not in found


def test_the_same_class_keeps_everything(capsys):
    name = "lightning_abkd.losses.AlphaBetaDivergence"
    assert printed(capsys, "--model.divergence", name)["divergence"]["init_args"]["alpha"] == 0.8
