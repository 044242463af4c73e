import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lightning_abkd.models import causal_lm, causal_lm_from_config
from tests._processes import Rank

pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra 'quickstart'")
pytest.importorskip("sklearn", reason="needs scikit-learn, of the extra 'quickstart'")
sys.path.append(str(Path(__file__).parent.parent / "examples"))

from _meter import peak_kib
from _smollm2 import first_student
from _summary import draw_summary
from _table import aligned

pytestmark = pytest.mark.float32

EXAMPLES = Path(__file__).parent.parent / "examples"
LLAMA = {
    "vocab_size": 384, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 3,
    "max_position_embeddings": 300, "bos_token_id": 1, "eos_token_id": 1,
}  # fmt: skip


def quickstart(folder, options):
    """Run the script as Python does, in a process that has imported Lightning already."""
    os.chdir(folder)
    sys.argv = [str(EXAMPLES / "quickstart.py"), "--seeds", "1", "--epochs", "1", *options]
    runpy.run_path(sys.argv[0], run_name="__main__")


def run(*options, cwd):
    """Return the exit code of the script and what it printed."""
    printed = cwd / f"printed{len(list(cwd.iterdir()))}.txt"
    code = Rank(quickstart, (cwd, options), output=printed).code()
    return code, printed.read_text()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    return folder, run("--output", "out", cwd=folder)


def test_quickstart_runs_from_anywhere_and_writes_its_results(first):
    folder, (code, printed) = first
    assert code == 0, printed
    written = {path.name for path in (folder / "out").iterdir()}
    assert {"results.md", "results.json", "curves.png", "summary.png", "teacher", "logs"} <= written
    assert "α-β scheduled" in (folder / "out" / "results.md").read_text()


def test_quickstart_resumes_what_is_done(first):
    folder, (_, before) = first
    _, again = run("--output", "out", cwd=folder)
    assert "seed 0 …" in before
    assert "seed 0 …" not in again
    assert [x for x in again.splitlines() if x[:1] == "|"] == [x for x in before.splitlines() if x[:1] == "|"]


def test_quickstart_names_unreadable_results(tmp_path):
    (tmp_path / "results.json").write_text("{broken")
    code, printed = run("--output", str(tmp_path), cwd=tmp_path)
    assert code == 1
    assert "cannot be read as results. Delete it" in printed


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    # Bytes again, by compiled code: the demo reads a thousand problems for each method.
    vocabulary = {byte: index for index, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    bytes_alone = Tokenizer(models.BPE(vocabulary, []))
    bytes_alone.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_alone.decoder = decoders.ByteLevel()
    tokens = PreTrainedTokenizerFast(tokenizer_object=bytes_alone, eos_token="<end>", pad_token="<pad>")
    tokens.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    tokens.save_pretrained(folder)
    causal_lm_from_config("llama", LLAMA).save_pretrained(folder)
    return folder


def test_language_demo_compares_and_resumes(teacher, tmp_path, monkeypatch, capsys):
    script, started = str(EXAMPLES / "demo_language.py"), []
    options = ["--steps", "5", "--samples", "2", "--new-tokens", "3", "--layers", "2", "--precision", "32-true"]
    options += ["--model", str(teacher), "--output", str(tmp_path / "out")]

    def start(*arguments):
        monkeypatch.setattr(sys, "argv", [script, *options, *arguments])
        runpy.run_path(script, run_name="__main__")

    def inside(command, check):
        started.append(command[-1])
        start("--method", command[-1])
        return subprocess.CompletedProcess(command, 0)

    # The methods' own processes would import everything seven times.
    monkeypatch.setattr(subprocess, "run", inside)
    start()
    assert started[:3] == ["teacher", "truncated, before", "SFT"]
    table = (tmp_path / "out" / "results.md").read_text()
    assert len(table.splitlines()) == 2 + 6
    assert (tmp_path / "out" / "curves.png").stat().st_size > 10_000
    assert (tmp_path / "out" / "responses" / "SFT" / "gsm8k.jsonl").is_file()
    started.clear()
    start()
    assert started == ["teacher"]
    assert table.splitlines()[0] in capsys.readouterr().out


def test_student_has_the_first_and_the_last_layer_of_the_teacher(teacher):
    student = first_student(teacher, 2)
    original = causal_lm(str(teacher)).state_dict()
    copied = student.state_dict()
    for ours, theirs in ((0, 0), (1, 2)):
        name = "model.layers.{}.mlp.up_proj.weight"
        assert torch.allclose(copied[name.format(ours)], original[name.format(theirs)], atol=1e-2)


def test_peak_memory_is_that_of_a_process_with_torch():
    assert 100 * 2**10 < peak_kib() < 2**30


def test_columns_of_a_table_are_aligned():
    assert aligned([["", "loss"], ["forward KL", "0.1"]]).splitlines() == [
        "|            | loss |",
        "|------------|------|",
        "| forward KL | 0.1  |",
    ]


def test_summary_is_drawn_for_one_seed_too(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train/alpha,train/beta,val/accuracy\n0,1,1.0,0.0,0.5\n1,2,0.5,0.5,0.6\n")
    methods = ("alone", "forward", "reverse", "fixed", "scheduled")
    picture = draw_summary({name: [path] for name in methods}, {name: [0.6] for name in methods}, tmp_path / "s.png")
    assert picture.stat().st_size > 10_000


OWN = {"own_divergence": "The order is 0.8, the divergence", "own_task": "test/overlap"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("script", OWN)
def test_short_example_runs(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / f"{script}.py"), run_name="__main__")
    assert OWN[script] in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", OWN)
def test_short_example_is_short_enough_to_copy(script):
    assert len((EXAMPLES / f"{script}.py").read_text().splitlines()) <= 60
