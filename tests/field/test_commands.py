"""What users type: every kind of key changes what it names, and every kind of mistake is one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lightning_abkd.cli import AbkdCLI, main
from tests.cli._commands import CONFIG

ROOT = Path(__file__).parent.parent.parent
LANGUAGE = ("--config", "abkd:language/smollm2_135m")
STACKED = ("--config=abkd:cifar100/base", "--config", "abkd:cifar100/pairs/resnet56_resnet20")
STACKED += ("-c", "abkd:cifar100/objectives/ab")
LOSSES = """
from lightning_abkd import DistillationModule, Divergence

class Wide(Divergence):
    def pointwise(self, log_p, log_q):
        return log_p - log_q

class Bare(Divergence):
    pass

class Untyped(DistillationModule):
    def __init__(self, student, teacher=None, **options):
        super().__init__(teacher, student, **options)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(CONFIG)
    (tmp_path / "my_losses.py").write_text(LOSSES)
    (tmp_path / "x.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def config(capsys, *arguments):
    with pytest.raises(SystemExit, match="0"):
        AbkdCLI(["fit", *arguments, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


def at(value, path):
    """Look a path up, such as model.student.path, without init_args."""
    for step in path.split("."):
        value = value[-1] if step == "last" else value.get("init_args", value)[step]
    return value


@pytest.mark.parametrize(
    ("typed", "path", "value"),
    [
        ("--seed_everything 7", "seed_everything", 7),
        ("--trainer.max_epochs 9", "trainer.max_epochs", 9),
        ("--model.optimizer.lr 0.5", "model.optimizer.lr", 0.5),
        ("--model.divergence.alpha 0.3", "model.divergence.alpha", 0.3),
        ("--model.init_args.divergence.init_args.alpha=0.3", "model.divergence.alpha", 0.3),
        ("--model.student.hidden_channels [5,10]", "model.student.hidden_channels", [5, 10]),
        ("--model.student.hidden_channels+ 5", "model.student.hidden_channels", [10, 5]),
        ("--model.student resnet20 --model.student.num_classes 7", "model.student.num_classes", 7),
        ("--model.teacher null", "model.teacher", None),
        (
            "--model.teacher load_pretrained --model.teacher.network wrn_16_1 --model.teacher.network.num_classes 7"
            " --model.teacher.checkpoint x.pt",
            "model.teacher.network.num_classes",
            7,
        ),
        (
            "--model.divergence DKD --model.divergence.divergence ReverseKL"
            " --model.divergence.divergence.temperature 2",
            "model.divergence.divergence.temperature",
            2.0,
        ),
        (
            "--model.lr_scheduler CosineAnnealingLR --model.lr_scheduler.T_max 3",
            "model.lr_scheduler.T_max",
            3,
        ),
        (
            "--trainer.callbacks+ EarlyStopping --trainer.callbacks.monitor val/loss",
            "trainer.callbacks.last.monitor",
            "val/loss",
        ),
        (
            "--trainer.callbacks+ AlphaBetaScheduler --trainer.callbacks.alpha Linear --trainer.callbacks.alpha.start 1"
            " --trainer.callbacks.alpha.end 0.5",
            "trainer.callbacks.last.alpha.end",
            0.5,
        ),
        ("--trainer.callbacks.dirpath elsewhere", "trainer.callbacks.last.dirpath", "elsewhere"),
        ("--trainer.logger CSVLogger --trainer.logger.save_dir x", "trainer.logger.save_dir", "x"),
        ("--data.batch_size 3", "data.batch_size", 3),
        ("--data CIFAR100DataModule --data.data_dir x", "data.data_dir", "x"),
    ],
)
def test_every_kind_of_key_changes_what_it_names(capsys, typed, path, value):
    assert at(config(capsys, "--config", "mine.yaml", *typed.split()), path) == value


def test_a_tokenizer_and_the_arguments_of_factories_change(capsys):
    found = config(capsys, *LANGUAGE, "--data.tokenizer.path", "mine", "--model.teacher.path", "other/model")
    assert at(found, "data.tokenizer.path") == "mine"
    assert at(found, "model.teacher.path") == "other/model"


def test_layers_of_the_package_are_applied_in_their_order(capsys):
    found = config(capsys, *STACKED)
    assert at(found, "trainer.max_epochs") == 240
    assert at(found, "model.student")["class_path"] == "lightning_abkd.models.resnet20"
    assert at(found, "model.divergence")["class_path"] == "lightning_abkd.losses.AlphaBetaDivergence"


def test_short_names_do_in_a_config_what_paths_do(folder, capsys):
    (folder / "short.yaml").write_text(
        CONFIG.replace("lightning_abkd.callbacks.", "")
        .replace("lightning_abkd.schedules.", "")
        .replace("lightning_abkd.modules.", "")
        .replace("lightning_abkd.losses.", "")
        .replace("lightning_abkd.data.", "")
        .replace("lightning.pytorch.callbacks.", "")
        .replace("lightning.pytorch.loggers.", "")
        .replace("torchvision.ops.", "")
    )
    assert config(capsys, "--config", "short.yaml") == config(capsys, "--config", "mine.yaml")


def refused(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["abkd", *arguments])
    with pytest.raises(SystemExit, match="2"):
        main()
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("abkd: "))
    return line


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("data:\n", "dato:\n", "Found no key `dato`. Did you mean `data`?"),
        (
            "data:\n",
            "seed_everything: 2\ndata:\n",
            "the key `seed_everything` is there twice, first in line 2.",
        ),
        ("  max_epochs: 2", "\tmax_epochs: 2", "line 5, column 1: YAML is indented by spaces. Found a tab."),
        ("  init_args:\n    teacher", "  task_weight: 2\n  init_args:\n    teacher", "Put it below `init_args`."),
        ("model:\n", "callbacks: []\nmodel:\n", "Found no key `callbacks`. Did you mean `trainer.callbacks`?"),
        (
            "flatten: true",
            "flatten: maybe",
            "data.flatten (lightning_abkd.data.DigitsDataModule): Expected a",
        ),
        ("losses.AlphaBetaDivergence", "losses.AlphaBetaDivergense", "Did you mean lightning_abkd.losses.AlphaBeta"),
        ("torchvision.ops.MLP", "nowhere.MLP", "(nowhere.MLP): No module named 'nowhere'"),
        ("    teacher: ", "    techer: ", "Option 'techer' is not accepted. Did you mean 'teacher'?"),
        ("data:\n", "temperature: 3\ndata:\n", "Did you mean `model.divergence.temperature`?"),
        ("data:\n", "lr_scheduler: {class_path: ConstantLR}\ndata:\n", "Give `--model.lr_scheduler` instead."),
        ("seed_everything: 1", "seed_everything: !!python/name:os.system", "line 2, column 18: this is no YAML"),
        (CONFIG, "", "The config mine.yaml is empty."),
        (CONFIG, "- model\n", "The config mine.yaml should hold keys"),
    ],
)
def test_every_kind_of_mistake_in_a_config_is_one_sentence(folder, capsys, monkeypatch, right, wrong, message):
    (folder / "mine.yaml").write_text(CONFIG.replace(right, wrong))
    assert message in refused(capsys, monkeypatch, "fit", "--config", "mine.yaml")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("train --config mine.yaml", "Found no command 'train'. Did you mean fit?"),
        ("fit", "Found no `model`. Give `--config FILE` or `--model CLASS`"),
        ("fit --config mind.yaml", "Found none at mind.yaml. Did you mean mine.yaml?"),
        ("fit --config .", "Found a folder at .. It holds mine.yaml."),
        ("fit --config abkd:quickstart/studen", "Did you mean quickstart/student?"),
        ("fit --config mine.yaml --trainer.max_epoch 1", "Did you mean `--trainer.max_epochs`?"),
        ("fit --config mine.yaml --max_epochs 1", "Did you mean `--trainer.max_epochs`?"),
        ("fit --config mine.yaml trainer.max_epochs=1", "Did you mean `--trainer.max_epochs=1`?"),
        ("fit --config mine.yaml --trainer.max_epochs", "Option `--trainer.max_epochs` needs a value."),
        ("test --config mine.yaml --ckpt_path no.ckpt", "Found no file at no.ckpt."),
        ("test --config mine.yaml --ckpt_path .", "Found a folder at .."),
        ("test --config mine.yaml --ckpt_path x.safetensors", "Found weights alone in x.safetensors"),
        ("fit --config mine.yaml --ckpt_path best", "`--ckpt_path best` needs a ModelCheckpoint"),
        ("fit --config mine.yaml --model.temperature 3", "Did you mean `model.divergence.temperature`?"),
        ("fit --config mine.yaml --lr 3", "Did you mean `--model.optimizer.lr`?"),
        ("fit --config mine.yaml --model.optimizer.lr a", "model.optimizer.lr (lightning_abkd.modules.DistillationMo"),
        ("fit --config mine.yaml --optimizer SGD", "would replace all that the module says of it"),
        ("fit --config mine.yaml --data.flatten false", "The network MLP does not fit the data: it got an input of sh"),
        ("fit --config mine.yaml --model my_losses.Untyped", "Annotate the option in its class, such as `student: "),
        ("fit --config mine.yaml --data null", "Found no data for `train`. Name a data module"),
        (
            "fit --config mine.yaml --model.divergence my_losses.Wide --trainer.callbacks null",
            "should return one value",
        ),
        (
            "fit --config mine.yaml --model.divergence my_losses.Bare --trainer.callbacks null",
            "Bare should define poin",
        ),
        (
            "sweep --config mine.yaml --seeds 0,1 --model.teacher load_pretrained --model.teacher.network wrn_16_1"
            " --model.teacher.network.num_classes 10 --model.teacher.checkpoint x.pt",
            "abkd: Option `--model.teacher.checkpoint` should name a file. Found none at x.pt.",
        ),
    ],
)
def test_every_kind_of_mistake_on_the_command_line_is_one_sentence(capsys, monkeypatch, typed, message):
    assert message in refused(capsys, monkeypatch, *typed.split())


def test_looking_around_imports_neither_torch_nor_lightning(folder):
    (folder / "broken.yaml").write_text("a: [")
    code = """
import sys
from lightning_abkd.cli import main
for line in ("--help", "--version", "list", "list losses", "show DKD", "configs", "train", "fit -c broken.yaml"):
    sys.argv = ["abkd", *line.split()]
    try:
        main()
    except SystemExit:
        pass
sys.exit(bool({"torch", "lightning", "jsonargparse"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    assert run.returncode == 0, run.stderr.decode()
