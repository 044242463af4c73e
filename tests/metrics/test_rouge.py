import sys

import pytest
import torch

from lightning_abkd.metrics import RougeL, _rouge, rouge_l


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("the cat sat", "the cat sat", 100.0),
        # Common subsequence "the _ the gunman", 3 of 4 words on both sides.
        ("police kill the gunman", "police ended the gunman", 75.0),
        # "a b" of 2 and of 4 words: 2 · 2 / (2 + 4).
        ("a b", "a c b d", 200.0 / 3.0),
        # The order counts: only one word of two.
        ("b a", "a b", 50.0),
        # Case and signs do not count, stems do.
        ("Running, DOGS!", "run dog", 100.0),
        ("", "a b", 0.0),
        ("?!", "a b", 0.0),
        ("x", "a b", 0.0),
    ],
)
def test_agrees_with_counting_by_hand(prediction, reference, expected):
    assert rouge_l(prediction, [reference]) == pytest.approx(expected)


def test_the_best_reference_counts():
    assert rouge_l("a b", ["x", "a c b d", "b"]) == pytest.approx(200.0 / 3.0)


def test_is_the_mean_over_samples_however_they_are_split():
    whole, first, second = RougeL(), RougeL(), RougeL()
    whole.update(["a b", "", "a"], [["a b"], ["a"], ["x", "a b"]])
    first.update(["a b"], [["a b"]])
    second.update(["", "a"], [["a"], ["x", "a b"]])
    first.merge_state(second)
    # (100 + 0 + 2/3 · 100) / 3
    torch.testing.assert_close(whole.compute(), torch.tensor(500.0 / 9.0))
    torch.testing.assert_close(first.compute(), whole.compute())


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric RougeL was called before")
def test_is_nan_while_empty():
    metric = RougeL()
    assert metric.compute().isnan()
    metric.update([], [])
    assert metric.compute().isnan()


def test_unfit_references_are_named():
    with pytest.raises(ValueError, match="Found 1 for 2 predictions"):
        RougeL().update(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match=r"should hold at least one text. Found `references = \[\]`"):
        RougeL().update(["a"], [[]])
    with pytest.raises(TypeError, match="should be a list of texts. Found one text, 'a b'"):
        RougeL().update(["a"], ["a b"])


def test_missing_rouge_score_names_the_extra(monkeypatch):
    _rouge._best_f.cache_clear()
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lightning-abkd\[language\]'"):
        rouge_l("a", ["a"])
