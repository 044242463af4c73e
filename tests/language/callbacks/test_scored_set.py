import pytest
import torch

from lightning_abkd.language.callbacks._scored_set import ScoredSet, results_table, values_under
from lightning_abkd.language.data import TextSample


def scored(seeds=2):
    samples = [TextSample("say it", ("a b c d",), None, 0), TextSample("again", ("x y",), None, 0)]
    return ScoredSet("test/dolly", samples, seeds, torch.device("cpu"))


def responded(*texts, seeds=2):
    """One response to each sample and seed, all of three tokens."""
    found = scored(seeds)
    for position in range(seeds):
        rows = found.rows([0, 1], texts[2 * position : 2 * position + 2], seed=10 * position)
        found.update(position, rows, [torch.zeros(3)] * 2)
    return found


def test_a_row_says_what_was_asked_answered_and_scored():
    (row,) = scored().rows([1], ["x y"], seed=5)
    assert row == {
        "index": 1, "seed": 5, "rouge_l": 100.0, "prompt": "again", "response": "x y", "references": ("x y",),
    }  # fmt: skip


def test_means_are_those_of_samples_and_then_of_seeds():
    values = responded("a b c d", "x y", "a b c d", " ").compute()
    # 100 and 100 of one seed, 100 and 0 of the other: means 100 and 50, deviation 50 / sqrt 2
    assert values["rouge_l"] == 75.0
    assert values["rouge_l_deviation"] == pytest.approx(50 / 2**0.5)
    assert (values["empty_responses"], values["response_length"]) == (0.25, 3.0)


def test_a_single_seed_has_no_deviation():
    assert "rouge_l_deviation" not in responded("a", "b", seeds=1).compute()


def test_values_are_those_of_the_set_alone():
    logged = {"test/a/loss": 1.0, "test/ab/loss": 2.0, "test/a/perplexity": 3.0, "val/loss": 4.0}
    assert list(values_under("test/a", logged).items()) == [("perplexity", 3.0), ("loss", 1.0)]


def test_a_table_leaves_cells_empty_that_a_set_has_not():
    table = results_table({"a": {"rouge_l": 12.346, "loss": 1.0}, "b": {"loss": 2.0}})
    assert table.splitlines() == ["| set | rouge_l | loss |", "|---|---:|---:|", "| a | 12.35 | 1 |", "| b |  | 2 |"]
