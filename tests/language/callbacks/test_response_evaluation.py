import json
import sys
from statistics import mean, stdev

import pytest
import torch

from lightning_abkd.callbacks import ResponseEvaluation
from lightning_abkd.metrics import _rouge, rouge_l
from lightning_abkd.modules import Sampling
from tests.language._text import instruction_data, language_module, network
from tests.language.data._text import write
from tests.training._training import trainer

# What random bytes have in common with it are single letters.
LETTERS = "a b c d e f g h i j k l m n o p q r s t u v w x y z"
SHORT = Sampling(max_new_tokens=12, no_repeat_ngram_size=6)
GREEDY = Sampling(max_new_tokens=4, temperature=0.0)
OWN = {"rouge_l", "rouge_l_deviation", "empty_responses", "response_length"}
SHARED = {"perplexity", "agreement", "student_entropy", "teacher_entropy", "loss", "task_loss", "divergence"}
OF_THE_TEACHER = {"teacher_perplexity"}


def letters(path, count=6):
    return write(path, *[(f"say {i}", [LETTERS, "0 1 2"]) for i in range(count)])


def evaluate(folder, data=None, module=None, run=None, **options):
    callback = ResponseEvaluation(str(folder / "out"), **{"sampling": SHORT, "seeds": [10, 20], **options})
    data = data or instruction_data(folder, test_file=letters(folder / "test.jsonl"))
    tester = trainer(folder, callbacks=[callback], **(run or {}))
    tester.test(module or language_module(), datamodule=data, verbose=False)
    return {name: float(value) for name, value in tester.callback_metrics.items()}


def rows(folder, name="test"):
    return [json.loads(line) for line in (folder / "out" / f"{name}.jsonl").read_text().splitlines()]


def results(folder):
    return json.loads((folder / "out" / "results.json").read_text())["sets"]


def test_rouge_is_that_of_the_written_responses(tmp_path):
    logged, written = evaluate(tmp_path), rows(tmp_path)
    means = [mean(rouge_l(x["response"], x["references"]) for x in written if x["seed"] == seed) for seed in (10, 20)]
    assert logged["test/rouge_l"] == pytest.approx(mean(means), rel=1e-5)
    assert logged["test/rouge_l_deviation"] == pytest.approx(stdev(means), rel=1e-5)
    assert 0.0 < min(means) < max(means)


def test_a_line_says_what_was_asked_answered_and_scored(tmp_path):
    evaluate(tmp_path)
    written = rows(tmp_path)
    assert sorted((x["index"], x["seed"]) for x in written) == [(i, seed) for i in range(6) for seed in (10, 20)]
    for row in written:
        assert row["prompt"] == f"say {row['index']}"
        assert row["references"] == [LETTERS, "0 1 2"]
        assert row["rouge_l"] == rouge_l(row["response"], row["references"])


def test_responses_depend_on_the_seed_and_not_on_what_ran_before(tmp_path):
    evaluate(tmp_path, seeds=[20, 30])
    first = {(x["index"], x["seed"]): x["response"] for x in rows(tmp_path)}
    torch.manual_seed(7)
    evaluate(tmp_path, seeds=[10, 20])
    second = {(x["index"], x["seed"]): x["response"] for x in rows(tmp_path)}
    for index in range(6):
        assert first[index, 20] == second[index, 20] != second[index, 10]


def test_named_sets_share_a_table(tmp_path):
    files = {name: letters(tmp_path / f"{name}.jsonl", count) for name, count in (("dolly", 3), ("vicuna", 5))}
    logged = evaluate(tmp_path, instruction_data(tmp_path, test_file=files))
    assert set(logged) == {f"test/{name}/{column}" for name in files for column in OWN | SHARED | OF_THE_TEACHER}
    assert results(tmp_path)["vicuna"] == {x: logged[f"test/vicuna/{x}"] for x in results(tmp_path)["vicuna"]}
    head, _, first, second, *_ = (tmp_path / "out" / "results.md").read_text().splitlines()
    assert head.startswith("| set | rouge_l | perplexity | teacher_perplexity | agreement | student_entropy |")
    score = f"{logged['test/dolly/rouge_l']:.2f} ± {logged['test/dolly/rouge_l_deviation']:.2f}"
    assert first.startswith(f"| dolly | {score} | {logged['test/dolly/perplexity']:.4g} |")
    assert second.startswith("| vicuna |")
    assert [len(rows(tmp_path, name)) for name in files] == [6, 10]


@pytest.mark.float32
def test_greedy_responses_are_written_once_and_have_no_deviation(tmp_path):
    logged = evaluate(tmp_path, sampling=GREEDY)
    assert len(rows(tmp_path)) == 6
    assert "test/rouge_l_deviation" not in logged
    assert "±" not in (tmp_path / "out" / "results.md").read_text()


@pytest.mark.float32
def test_the_teacher_may_respond(tmp_path):
    evaluate(tmp_path, network="teacher", sampling=GREEDY)
    first = rows(tmp_path)
    evaluate(tmp_path, module=language_module(student=network(1), teacher=None, divergence=None), sampling=GREEDY)
    assert rows(tmp_path) == first


def test_the_first_samples_of_a_set_can_stand_for_it(tmp_path):
    evaluate(tmp_path, max_samples=5)
    assert {row["index"] for row in rows(tmp_path)} == {0, 1, 2, 3, 4}


def silent():
    """A student whose first token always is the end of the text."""
    module = language_module()
    torch.nn.init.zeros_(module.student.transformer.ln_f.weight)
    torch.nn.init.ones_(module.student.transformer.ln_f.bias)
    torch.nn.init.zeros_(module.student.lm_head.weight)
    module.student.lm_head.weight.data[1] = 100.0
    return module


def test_empty_responses_count_as_zero_and_are_warned_about_once(tmp_path, monkeypatch):
    warned = []
    monkeypatch.setattr("lightning_abkd.language.callbacks._response_evaluation.rank_zero_warn", warned.append)
    logged = evaluate(tmp_path, module=silent())
    assert [message.split(" and ")[0] for message in warned] == ["All responses of the student to test are empty"]
    assert (logged["test/rouge_l"], logged["test/empty_responses"], logged["test/response_length"]) == (0.0, 1.0, 1.0)


@pytest.mark.filterwarnings("ignore:Using `DistributedSampler`", "ignore:.*use `self.log")
def test_two_processes_give_the_table_of_one(tmp_path):
    data = instruction_data(tmp_path, test_file=letters(tmp_path / "test.jsonl", 8), batch_size=2)
    evaluate(tmp_path, data, sampling=GREEDY)
    (alone, whole), own = (results(tmp_path), rows(tmp_path)), ["rouge_l", "empty_responses", "response_length"]
    evaluate(tmp_path, data, sampling=GREEDY, run={"devices": 2, "strategy": "ddp_fork"})
    parts = [row for rank in (0, 1) for row in rows(tmp_path, f"test.rank{rank}")]
    assert sorted(parts, key=lambda row: row["index"]) == whole
    assert [results(tmp_path)["test"][x] for x in own] == pytest.approx([alone["test"][x] for x in own])


def test_a_trial_run_writes_nothing(tmp_path):
    assert "test/rouge_l" in evaluate(tmp_path, run={"fast_dev_run": True})
    assert not (tmp_path / "out").exists()


def test_files_of_an_earlier_test_are_replaced(tmp_path):
    evaluate(tmp_path)
    first = rows(tmp_path)
    evaluate(tmp_path)
    assert rows(tmp_path) == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": []}, r"`seeds` should hold at least one seed, each once. Found `seeds = \[\]`"),
        ({"seeds": [1, 2, 1]}, r"each once. Found `seeds = \[1, 2, 1\]`"),
        ({"max_samples": 0}, "`max_samples` should be at least 1"),
        ({"network": "both"}, "`network` should be 'student' or 'teacher'"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ResponseEvaluation("out", **options)


def test_what_is_missing_is_named_before_the_test(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="The teacher should respond. Found none"):
        evaluate(tmp_path, module=language_module(teacher=None, divergence=None), network="teacher")
    _rouge._best_f.cache_clear()
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lightning-abkd\[language\]'"):
        evaluate(tmp_path)
    assert not (tmp_path / "out").exists()
