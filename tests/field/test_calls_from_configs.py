"""What a config may call: what gives an object of the class that an argument takes, wherever it stands."""

import json
import sys

import pytest

from lightning_abkd.cli import AbkdCLI

CALLED = {"class_path": "os.system", "init_args": {"command": "touch called"}}
WRITTEN = {"class_path": "torch.save", "init_args": {"obj": 1, "f": "called"}}
PROCESS = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "called"]}}
LINEAR = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 64, "out_features": 10}}
PICKLE = b"cos\nsystem\n(S'touch called'\ntR."
HUB = "import os\nos.system('touch called')\ndef net() -> 'torch.nn.Module': pass\n"
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def fit(model=None, data=None, trainer=None, **options):
    config = {
        "seed_everything": 0,
        "trainer": {"accelerator": "cpu", "fast_dev_run": True, **QUIET, **(trainer or {})},
        "model": {
            "class_path": "lightning_abkd.modules.DistillationModule",
            "init_args": {"student": LINEAR, **(model or {})},
        },
        "data": data or {"class_path": "lightning_abkd.data.DigitsDataModule", "init_args": {"flatten": True}},
    }
    with open("config.json", "w") as file:
        json.dump(config, file)
    return AbkdCLI(["fit", "--config", "config.json", *(f"--{name}={value}" for name, value in options.items())])


def texts(**options):
    return {"class_path": "lightning_abkd.data.InstructionDataModule", "init_args": options}


def schedules(schedule):
    init_args = {"schedules": {"task_weight": schedule}}
    return {"callbacks": [{"class_path": "lightning_abkd.callbacks.HyperparameterScheduler", "init_args": init_args}]}


def activation(function):
    init_args = {"in_channels": 64, "hidden_channels": [10], "activation_layer": function}
    return {"class_path": "torchvision.ops.MLP", "init_args": init_args}


PLACES = {
    "optimizer": lambda call: {"model": {"optimizer": call}},
    "lr_scheduler": lambda call: {"model": {"lr_scheduler": call}},
    "teacher": lambda call: {"model": {"teacher": call}},
    "divergence": lambda call: {"model": {"divergence": call}},
    "activation": lambda call: {"model": {"student": activation(call)}},
    "schedule": lambda call: {"trainer": schedules(call)},
    "callback": lambda call: {"trainer": {"callbacks": [call]}},
    "tokenizer": lambda call: {"data": texts(tokenizer=call)},
    "teacher_tokenizer": lambda call: {"data": texts(teacher_tokenizer=call)},
    "template": lambda call: {"data": texts(template=call)},
    "extra": lambda call: {"model": {"student": {**LINEAR, "dict_kwargs": {"device": call}}}},
    "data": lambda call: {"data": call},
    "logger": lambda call: {"trainer": {"logger": call}},
    "plugin": lambda call: {"trainer": {"plugins": [call]}},
    "strategy": lambda call: {"trainer": {"strategy": call}},
    "profiler": lambda call: {"trainer": {"profiler": call}},
}


@pytest.mark.parametrize("call", [CALLED, PROCESS, WRITTEN], ids=["function", "class", "written"])
@pytest.mark.parametrize("place", PLACES)
def test_a_config_cannot_call_what_is_not_asked_for(folder, place, call, capsys):
    with pytest.raises(SystemExit):
        fit(**PLACES[place](call))
    assert not (folder / "called").exists()
    assert "Traceback" not in capsys.readouterr().err


EFFECTS = {
    "torch.hub.load": {"repo_or_dir": ".", "model": "net", "source": "local"},
    "torch.load": {"f": "x.pkl", "weights_only": False},
    "pickle.loads": {"data": "x"},
    "builtins.eval": {"source": "open('called', 'w')"},
    "subprocess.check_output": {"args": ["touch", "called"]},
    "shutil.copy": {"src": "x.pkl", "dst": "called"},
    "runpy.run_path": {"path_name": "hubconf.py"},
    "importlib.import_module": {"name": "hubconf"},
    "numpy.load": {"file": "x.pkl", "allow_pickle": True},
    "torch.hub.load_state_dict_from_url": {"url": "file:x.pkl"},
    "safetensors.torch.save_file": {"tensors": {}, "filename": "called"},
    "huggingface_hub.snapshot_download": {"repo_id": "owner/name"},
    "torch.os.system": {"command": "touch called"},
    "pathlib.Path.touch": {"self": "called"},
    "logging.FileHandler": {"filename": "called"},
}


@pytest.mark.parametrize("place", ["tokenizer", "teacher"])
def test_what_has_effects_is_not_called_for_an_object(folder, place, capsys):
    (folder / "x.pkl").write_bytes(PICKLE)
    (folder / "hubconf.py").write_text(HUB)
    for path, arguments in EFFECTS.items():
        with pytest.raises(SystemExit):
            fit(**PLACES[place]({"class_path": path, "init_args": arguments}))
        assert not (folder / "called").exists()
        assert f"{path.rpartition('.')[2]}" in capsys.readouterr().err


def test_a_config_is_no_program_of_python(folder, capsys):
    (folder / "config.yaml").write_text('trainer: !!python/object/apply:os.system ["touch called"]\n')
    with pytest.raises(SystemExit):
        AbkdCLI(["fit", "--config", "config.yaml"])
    assert not (folder / "called").exists()
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("abkd: "))
    assert "python/object/apply" in line


@pytest.mark.parametrize("name", ["optimizer", "lr_scheduler"])
def test_a_name_alone_is_no_way_around(folder, name, capsys):
    with pytest.raises(SystemExit):
        fit({name: "os.system"})
    assert "os.system" in capsys.readouterr().err


def test_a_function_that_says_what_it_returns_is_called(folder, monkeypatch):
    (folder / "mine.py").write_text(
        "from collections.abc import Callable\n"
        "from functools import partial\n"
        "import torch\n"
        "def momentum(lr: float) -> Callable[..., torch.optim.Optimizer]:\n"
        "    return partial(torch.optim.SGD, lr=lr, momentum=0.9)\n"
    )
    monkeypatch.syspath_prepend(folder)
    cli = fit({"optimizer": {"class_path": "mine.momentum", "init_args": {"lr": 0.25}}})
    assert cli.trainer.optimizers[0].param_groups[0]["lr"] == 0.25


SCHEDULES = {
    "WarmupCosineLR": {"warmup_steps": 0.5},
    "WholeCycleLR": {},
    "TransformersLR": {"name": "polynomial", "options": {"power": 2.0}},
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_of_the_whole_training_are_written_in_a_config(name):
    scheduler = {"class_path": name, "init_args": SCHEDULES[name]}
    cli = fit({"lr_scheduler": scheduler}, trainer={"fast_dev_run": False, "max_steps": 4, "limit_val_batches": 0})
    config = cli.trainer.lr_scheduler_configs[0]
    assert (type(config.scheduler).__name__, config.interval) == (name, "step")


def test_combined_schedules_are_written_in_a_config():
    parts = [
        {"class_path": "LinearLR", "init_args": {"start_factor": 0.5, "total_iters": 1}},
        {"class_path": "torch.optim.lr_scheduler.ExponentialLR", "init_args": {"gamma": 0.5}},
    ]
    scheduler = {"class_path": "SequenceLR", "init_args": {"schedulers": parts, "milestones": [1]}}
    cli = fit(
        {"lr_scheduler": scheduler, "lr_interval": "step", "optimizer": {"class_path": "SGD", "init_args": {"lr": 1.0}}}
    )
    assert cli.trainer.optimizers[0].param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize("name", ["WarmupCosineLR", "warmup_cosine"])
def test_a_schedule_is_chosen_on_the_command_line(name):
    options = {"model.lr_scheduler": name, "model.lr_scheduler.warmup_steps": 10, "trainer.limit_val_batches": 0}
    cli = fit(trainer={"fast_dev_run": False, "max_steps": 5}, **options)
    assert cli.trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.5e-3)


def test_an_option_under_a_schedule_is_refused(capsys):
    alpha = {"class_path": "Linear", "init_args": {"start": 1.0, "end": 0.2}}
    trainer = {"callbacks": [{"class_path": "AlphaBetaScheduler", "init_args": {"alpha": alpha}}]}
    with pytest.raises(SystemExit):
        fit({"divergence": {"class_path": "AlphaBetaDivergence"}}, trainer=trainer, **{"model.divergence.alpha": 0.3})
    assert "Option `divergence.alpha` should leave its value to the AlphaBetaScheduler" in capsys.readouterr().err
