"""What version 0.1.0 has written loads, goes on, and gives the numbers that it gave there."""

import json
import shutil
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from lightning_abkd.cli import AbkdCLI, main
from lightning_abkd.models import TeacherCache, load_weights
from lightning_abkd.modules import DistillationModule, LanguageDistillationModule
from tests.written_by_0_1_0 import _measured as measured

WRITTEN = Path(measured.__file__).parent
NUMBERS = json.loads((WRITTEN / "numbers.json").read_text())
CACHED = ["fit", "--config", "language.yaml", "--config", "cached.yaml"]

# Names that have changed since are forwarded with this warning, and Lightning says that a folder is another one now.
pytestmark = [
    pytest.mark.float32,
    pytest.mark.filterwarnings(
        "ignore:lightning_abkd.* is now .*:DeprecationWarning", "ignore:The dirpath has changed"
    ),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    shutil.copytree(WRITTEN, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_checkpoint_of_the_command_line_is_evaluated_to_the_same_numbers():
    teacher = load_weights(measured.digits_teacher(), "digits/teacher.safetensors")
    module = DistillationModule.load_from_checkpoint("digits/last.ckpt", teacher=teacher)
    found = measured.validation(module, measured.digits()) | measured.live(module)
    assert found.items() >= NUMBERS["digits"].items()
    assert measured.logits(module.student) == NUMBERS["digits logits"]


def test_a_checkpoint_of_python_code_is_evaluated_to_the_same_numbers():
    teacher = load_weights(measured.vectors_teacher(), "vectors/teacher.pt")
    parts = {"teacher": teacher, "student": measured.vectors_student(), "divergence": measured.vectors_loss()}
    module = DistillationModule.load_from_checkpoint("vectors/last.ckpt", **parts)
    found = measured.validation(module, measured.vectors()) | measured.live(module)
    assert found.items() >= NUMBERS["vectors"].items()


def test_a_checkpoint_of_a_language_model_is_evaluated_to_the_same_numbers():
    teacher = load_weights(measured.language_teacher(), "language/teacher.pt")
    module = LanguageDistillationModule.load_from_checkpoint("language/last.ckpt", teacher=teacher)
    assert measured.state_of(module.student_data) == NUMBERS["student data"]
    found = measured.validation(module, measured.instructions()) | measured.live(module)
    assert found.items() >= NUMBERS["language"].items()


@pytest.mark.parametrize(("name", "epochs"), [("digits", 3), ("language", 4)])
def test_training_goes_on_from_a_checkpoint_by_the_saved_config(name, epochs):
    options = ["--trainer.max_epochs", str(epochs), "--trainer.callbacks.dirpath", "resumed"]
    cli = AbkdCLI(["fit", "--config", f"{name}/config.yaml", "--ckpt_path", f"{name}/last.ckpt", *options])
    policy = getattr(cli.model, "student_data", None)
    counts = {"global_step": cli.trainer.global_step} | ({} if policy is None else {"batches": policy.batches})
    assert (measured.live(cli.model) | counts).items() >= NUMBERS[f"{name} resumed"].items()


@pytest.mark.parametrize("config", ["digits/config.yaml", "language/config.yaml"])
def test_a_saved_config_starts_a_training(config):
    assert AbkdCLI(["fit", "--config", config, "--trainer.fast_dev_run", "1"]).trainer.global_step == 1


def test_an_exported_student_computes_the_same_logits():
    exported = load_weights(measured.digits_student(), "digits/student.safetensors")
    assert measured.logits(exported) == NUMBERS["digits logits"]


def test_an_exported_student_is_that_of_the_checkpoint():
    parts = {"student": measured.vectors_student(), "divergence": measured.vectors_loss()}
    module = DistillationModule.load_from_checkpoint("vectors/last.ckpt", **parts)
    exported = load_weights(measured.vectors_student(), "vectors/student.pt")
    assert measured.digest(*exported.parameters()) == measured.digest(*module.student.parameters())


def test_a_cache_gives_what_was_stored():
    assert measured.hidden_digest("cache/hidden") == NUMBERS["cache digests"]["hidden"]
    assert measured.top_k_digest("cache/top_k") == NUMBERS["cache digests"]["top_k"]


@pytest.mark.parametrize("kind", ["hidden", "top_k"])
@pytest.mark.parametrize("teacher", [[], ["--model.teacher", "null"]], ids=["checked", "absent"])
def test_a_cache_stands_in_for_its_teacher(kind, teacher):
    before = contents(f"cache/{kind}")
    options = [f"--trainer.callbacks.folder=cache/{kind}", f"--trainer.callbacks.kind={kind}"]
    cli = AbkdCLI([*CACHED, *options, "--trainer.callbacks.k=8", *teacher])
    # Trained in float32, whose last bits depend on the order in which a machine adds.
    assert cli.trainer.callback_metrics["train/loss"].item() == pytest.approx(NUMBERS["cached losses"][kind], rel=1e-5)
    assert contents(f"cache/{kind}") == before


def test_a_cache_of_another_teacher_is_still_refused():
    with pytest.raises(ValueError, match="should belong to this run. Found `model = 'GPT2LMHeadModel"):
        TeacherCache("cache/hidden").check(model="GPT2LMHeadModel 0123456789ab")


def test_responses_that_were_begun_are_ended_as_they_would_have_been(folder):
    AbkdCLI(["predict", "--config", "language.yaml", "--config", "responses.yaml"])
    assert (folder / "responses" / "teacher.jsonl").read_text() == NUMBERS["responses"]


def test_a_sweep_that_was_begun_is_ended_as_it_would_have_been(folder, monkeypatch):
    before = contents("sweep")
    points = ["--alpha", "0.5", "1", "--beta", "0", "--seeds", "0", "--metric", "val/loss", "--folder", "sweep"]
    monkeypatch.setattr(sys, "argv", ["abkd", "sweep", "--config", "sweep.yaml", *points])
    main()
    assert contents("sweep").items() >= before.items()
    # The point that was left is trained without the weight decay of AdamW, which 0.1.0 silently left in a config's SGD.
    assert (folder / "sweep" / "table.md").read_text() == NUMBERS["sweep"].replace("2.3300", "2.3304")


@pytest.mark.parametrize("path", NUMBERS["state"])
def test_names_in_the_state_of_a_loss_are_the_same(path):
    loss = resolve_name(path)(**measured.ARGUMENTS.get(path.rpartition(".")[2], {}))
    assert sorted(loss.state_dict()) == NUMBERS["state"][path]
