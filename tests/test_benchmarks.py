import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.vision.data._formats import write_fashion_mnist_archives

pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra 'benchmark'")
sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))

import _heads
import _inputs
import _memory
import _pairs
import _peers
import _recipes
import _report
import _students
import _timing
import _ways
import accuracy
import cluster
import divergence
import divergence_map
import fashion_mnist
import growth
import language_head
import objectives
import training_step
from _training import Clock

OPTIONAL = {"TRL", "TRL chunked", "Liger KL", "Liger JSD", "Liger chunked", "Liger fused"}


def compare(folder, *options):
    write = ["--data", str(folder), "--output", str(folder / "out"), "--seeds", "1", "--epochs", "1", "--samples", "20"]
    fashion_mnist.main([*write, *options])


@pytest.fixture
def few(tmp_path, monkeypatch):
    write_fashion_mnist_archives(tmp_path, 40)
    names = ("student alone", "α-β scheduled", "DKD")
    monkeypatch.setattr(fashion_mnist, "METHODS", {name: _recipes.METHODS[name] for name in names})
    monkeypatch.setattr(fashion_mnist, "REDUCED", _recipes.Budget(20, 1, (8, (4, 4, 4, 4)), (8, (2, 2, 2, 2))))
    return tmp_path


@pytest.mark.float32
def test_comparison_runs_and_resumes(few, capsys):
    compare(few)
    first = capsys.readouterr().out
    compare(few)
    second = capsys.readouterr().out
    assert "DKD, seed 0 …" in first
    assert "…" not in second
    assert first.endswith(second)
    results = json.loads((few / "out" / "fashion_mnist" / "results.json").read_text())["results"]
    assert set(results["DKD/0"]) == {"accuracy", "agreement", "calibration_error", "seconds"}


@pytest.mark.float32
def test_noise_and_long_tail_have_results_of_their_own(few):
    compare(few, "--label-noise", "0.2", "--imbalance", "2")
    assert (few / "out" / "fashion_mnist_noise_long_tail_0.2_2" / "results.json").exists()


def test_missing_images_say_how_to_get_them(tmp_path):
    with pytest.raises(SystemExit, match="apt-get install dataset-fashion-mnist"):
        fashion_mnist.main(["--data", str(tmp_path), "--output", str(tmp_path)])


def test_all_objectives_see_one_order():
    first, second = (torch.stack([*_students.Order(130, seed=3)]) for _ in range(2))
    assert first.shape == (2, 64)
    assert torch.equal(first, second)


def test_objectives_are_their_formulas(monkeypatch):
    monkeypatch.setattr(objectives, "BATCH", 16)
    features, drawn = objectives.of_features()
    signals = objectives.draw(10, drawn)
    for ours, other in (objectives.of_logits() | features).values():
        assert objectives.difference(ours, other, signals) < 1e-4


def test_map_is_that_of_single_divergences(capsys):
    divergence_map.main(["--shapes", "4x50", "--repeats", "1", "--threads", "1", "--print"])
    cells = capsys.readouterr().out.splitlines()[-1].split(" | ")
    assert cells[0] == "| 4×50"
    assert all(float(cell.strip(" |")) < 1e-3 for cell in cells[4:])


STEPS = {
    "vision": partial(_pairs.vision, _pairs.TINY, "cpu", 2),
    "language": partial(_pairs.language, _pairs.TINY, "cpu", 2, Path("no folder")),
}


def trained(build, name):
    pair = build()
    pair.ways(False)[name]().train(Clock())
    return torch.cat([parameter.detach().flatten() for parameter in pair.student.parameters()])


# Lightning's remark on a teacher that is part of a module.
EVAL = pytest.mark.filterwarnings("ignore:Found .* module.s. in eval mode")


@EVAL
@pytest.mark.parametrize("pair", STEPS)
def test_training_steps_that_are_compared_are_one_step(pair):
    ours = trained(STEPS[pair], _ways.OURS)
    for name in (_ways.LOOP, _ways.PLAIN):
        torch.testing.assert_close(trained(STEPS[pair], name), ours, rtol=1e-3, atol=1e-6)
    assert not torch.equal(torch.cat([p.detach().flatten() for p in STEPS[pair]().student.parameters()]), ours)


@EVAL
def test_a_peer_that_fails_is_shown_with_its_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "trl.experimental.gkd", None)
    rows = training_step.measure(STEPS["language"](), False, 1, lambda name: 3 << 20).splitlines()
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows[2:]] == [
        _ways.OURS,
        _ways.LOOP,
        _ways.PLAIN,
        f"{_ways.OURS}, teacher in bfloat16",
        _pairs.TRL,
    ]
    assert "failed: ModuleNotFoundError: " in rows[-1]
    assert all(row.count(" | ") == 7 for row in rows)
    shares = [int(cell.removesuffix(" %")) for cell in rows[2].removesuffix(" |").split(" | ")[4:]]
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(100, abs=2)


@pytest.fixture
def at_once(monkeypatch, tmp_path):
    """Nothing is compiled, measured in another process or written here."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    for module in (divergence, language_head, growth):
        monkeypatch.setattr(module, "alone", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(_report, "README", tmp_path / "README.md")
    monkeypatch.setattr(growth, "ROOT", tmp_path)
    return ["--quick", "--repeats", "1", "--threads", str(torch.get_num_threads())]


def working(calls):
    failed = _timing.failures(calls).keys()
    assert failed <= OPTIONAL
    return calls.keys() - failed


@pytest.mark.parametrize("point", _peers.POINTS)
def test_all_that_is_compared_is_one_divergence(point, at_once):
    student, teacher = _inputs.logits(12, 50)
    losses = _peers.candidates(point)
    names = working({name: lambda f=loss: divergence.step(f, student, teacher) for name, loss in losses.items()})
    for name in names - {_peers.CONTEXT}:
        assert max(divergence.errors(losses[name], point, student, teacher)) < 1e-4, name


@pytest.mark.parametrize("point", _peers.POINTS)
def test_masked_rows_do_not_count(point, at_once):
    student, teacher = _inputs.logits(12, 50, dtype=torch.bfloat16)
    mask = torch.arange(12) % 2 == 0
    losses = _peers.candidates(point)
    for name in working({name: lambda f=loss: f(student, teacher, mask) for name, loss in losses.items()}):
        expected = losses[name](student[mask], teacher[mask], None)
        assert torch.allclose(losses[name](student, teacher, mask), expected, rtol=0.02), name


@pytest.mark.parametrize("with_task", [False, True])
@pytest.mark.parametrize("point", language_head.POINTS)
def test_all_heads_have_one_gradient(point, with_task, at_once):
    inputs, labels = language_head.draw((12, 8, 50), "cpu", with_task)
    losses = _heads.candidates(point, with_task, "cpu")
    for name in working({name: lambda f=loss: f(inputs, labels) for name, loss in losses.items()}):
        value, gradient = map(float, language_head.error(losses[name], point, inputs, labels).split(" / "))
        assert max(value, gradient) < 1e-4, name


def test_backend_that_does_not_exist_is_shown_as_failed(at_once, capsys):
    divergence.main([*at_once, "--rows", "4", "--classes", "10", "--points", "(0.2, 0.7)", "--backends", "no such"])
    assert "ours, no such failed: " in capsys.readouterr().out


def test_masked_share_and_memory_have_their_rows(at_once, capsys, monkeypatch):
    monkeypatch.setattr(divergence, "MEASURABLE", 0)
    divergence.main([*at_once, "--rows", "8", "--classes", "20", "--points", "(1, 0)", "--masked", "0", "50"])
    printed = capsys.readouterr().out
    assert printed.count("| 8×20 |") == printed.count("| 8×20, 50 % masked |") == 2
    assert not _report.README.exists()


def test_what_took_long_is_written(at_once):
    options = [option for option in at_once if option != "--quick"]
    divergence.main([*options, "--rows", "4", "--classes", "10", "--points", "(0, 1)"])
    assert "benchmarks/divergence.py --repeats 1" in _report.README.read_text()


def test_heads_have_a_table_each(at_once, capsys):
    language_head.main([*at_once, "--tokens", "6", "--hidden", "4", "--vocabulary", "20", "--points", "(1, 0)"])
    assert capsys.readouterr().out.count("| (1, 0), 6×4×20 |") == 6


def test_growth_is_drawn(at_once, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(growth.SWEEPS, "quick", ([(4, 10), (4, 20)], [(4, 20), (8, 20)]))
    growth.main(at_once)
    assert "| 8×20 |" in capsys.readouterr().out
    assert (tmp_path / "runs" / "growth.png").stat().st_size > 10_000


def test_two_processes_have_tables_of_times_and_bytes(capsys):
    sizes = {"student": 2**20, "optimizer": 2**21, "teacher": 2**22}
    found = {"ours": sizes, "times": [0.1, 0.2], "ratios": {"step": [1, 2, 3], "work": [1, 1, 1]}, "sharded": 2**19}
    cluster.report({"ddp": found}, SimpleNamespace(rounds=3, steps=5, note="", tiny=True))
    written = capsys.readouterr().out
    assert "| ddp | 100.00 ms | 200.00 ms | 2.00 (1.00 to 3.00) | 1.00 (1.00 to 1.00) |" in written
    assert "| ddp | 1.00 MiB | 2.00 MiB | 4.00 MiB | 0.50 MiB |" in written


def test_memory_is_measured_in_another_process():
    assert _memory.alone(os.getpid) != os.getpid()


def test_logits_have_two_nats():
    for logits in _inputs.logits(64, 1000):
        assert abs(torch.distributions.Categorical(logits=logits).entropy().mean().item() - 2.0) < 0.4


def test_another_process_finds_the_modules_beside_the_script(tmp_path):
    (tmp_path / "_beside.py").write_text("def seven():\n    return 7\n")
    script = tmp_path / "script.py"
    script.write_text(
        "from _beside import seven\nfrom _memory import alone\nif __name__ == '__main__':\n    print(alone(seven))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(_memory.__file__).parent)}
    result = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert result.stdout.strip() == "7", result.stderr


def test_accuracy_has_a_row_for_every_point(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(_report, "README", tmp_path / "README.md")
    monkeypatch.setattr(accuracy, "CASES", accuracy.CASES[::18])
    accuracy.main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == [*sorted({f"| {accuracy.name(case)}" for case in accuracy.CASES}), "| all"]
    assert all(float(cell.strip(" |")) < 1e-3 for row in rows[2:] for cell in row[1:-1])
    assert "python benchmarks/accuracy.py" in _report.README.read_text()


@pytest.mark.parametrize("option", ["--full", "--label-noise", "--imbalance"])
def test_another_comparison_of_images_has_a_section_of_its_own(option):
    usual = fashion_mnist.variants(fashion_mnist.arguments([]))
    (other,) = fashion_mnist.variants(fashion_mnist.arguments([option] + ["3"] * (option != "--full")))
    title, command = fashion_mnist.headings([other])
    assert usual == []
    assert title.startswith("Objectives on Fashion-MNIST, ")
    assert command.startswith(f"python benchmarks/fashion_mnist.py {option}")


@pytest.mark.parametrize("script", ["divergence", "language_head", "growth", "training_step", "fashion_mnist"])
def test_a_script_says_how_it_is_called(script, capsys):
    with pytest.raises(SystemExit, match="0"):
        sys.modules[script].main(["--help"])
    assert f"benchmarks/{script}.py" in capsys.readouterr().out
