import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lightning_abkd.models import causal_lm_from_config

ROOT = Path(__file__).parent.parent
LLAMA = {
    "vocab_size": 384, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 3,
    "max_position_embeddings": 300, "bos_token_id": 1, "eos_token_id": 1,
}  # fmt: skip


def run(*options, cwd):
    command = [sys.executable, str(ROOT / "examples" / "quickstart.py"), "--seeds", "1", "--epochs", "1", *options]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    return folder, run("--output", "out", cwd=folder)


def test_quickstart_runs_from_anywhere_and_writes_its_results(first):
    folder, result = first
    assert result.returncode == 0, result.stderr
    assert {"results.md", "results.json", "curves.png", "teacher", "logs"} <= {
        p.name for p in (folder / "out").iterdir()
    }
    assert "α-β scheduled" in (folder / "out" / "results.md").read_text()


def test_quickstart_resumes_what_is_done(first):
    folder, result = first
    again = run("--output", "out", cwd=folder)
    assert "seed 0 …" in result.stdout
    assert "seed 0 …" not in again.stdout
    assert [x for x in again.stdout.splitlines() if x[:1] == "|"] == [
        x for x in result.stdout.splitlines() if x[:1] == "|"
    ]


def test_quickstart_names_unreadable_results(tmp_path):
    (tmp_path / "results.json").write_text("{broken")
    result = run("--output", str(tmp_path), cwd=tmp_path)
    assert result.returncode == 1
    assert "cannot be read as results. Delete it" in result.stderr


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
    script, started = str(ROOT / "examples" / "demo_language.py"), []
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
