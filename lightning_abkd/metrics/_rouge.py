"""ROUGE-L: how much a generated text has in common with a reference."""

import functools
from collections.abc import Callable, Sequence

import torch

from lightning_abkd._utils import require
from lightning_abkd.metrics._mean import PositionMean


class RougeL(PositionMean):
    """Mean ROUGE-L of generated texts, between 0 and 100; see `rouge_l` for the formula.

    It is updated with texts, not with logits. It is NaN while there is none.

    Example:
        >>> rouge = RougeL()
        >>> rouge.update(["the cat sat", ""], [["the cats sat", "a dog"], ["a dog"]])
        >>> rouge.compute()  # 100 by the stems, and 0
        tensor(50.)
    """

    higher_is_better = True

    def update(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Add a batch.

        Args:
            predictions: Generated texts.
            references: For each prediction the texts that count as right.

        Raises:
            ValueError: If there are not as many references as predictions, or a prediction has none.
            TypeError: If the references of a prediction are one text instead of a list.
            ModuleNotFoundError: If rouge-score is missing.
        """
        if len(predictions) != len(references):
            raise ValueError(
                "Parameter `references` should hold a list of texts for each prediction. "
                f"Found {len(references)} for {len(predictions)} predictions."
            )
        scores = [rouge_l(*pair) for pair in zip(predictions, references, strict=True)]
        self.accumulate(torch.tensor(scores, device=self.device))


def rouge_l(prediction: str, references: Sequence[str]) -> float:
    r"""Compute ROUGE-L of a text, the best over its references, as ABKD's language experiments report it.

    Paper: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries".

    .. math::

        100 \, \max_r \frac{2 L_r}{n + m_r}

    where:

    - n -> `prediction`: its number of words.
    - m -> `references`: number of words of reference r.
    - L: length of the longest common subsequence of words. The quotient is the harmonic mean of L / n and L / m.

    Words are made of lower-case letters and digits; those of more than three characters are reduced to Porter's stem. A
    text without words scores 0.

    Args:
        prediction: Generated text.
        references: Texts that count as right, at least one.

    Returns:
        Between 0 and 100.

    Raises:
        ValueError: If there is no reference.
        TypeError: If `references` is one text.
        ModuleNotFoundError: If rouge-score is missing.

    Example:
        >>> rouge_l("police killed the gunman", ["police kill the gunman", "the gunman was killed"])
        100.0
    """
    if isinstance(references, str):
        raise TypeError(f"Parameter `references` should be a list of texts. Found one text, {references[:40]!r}.")
    if not references:
        raise ValueError("Parameter `references` should hold at least one text. Found `references = []`.")
    return 100.0 * _best_f()(references, prediction)


@functools.cache
def _best_f() -> Callable[[Sequence[str], str], float]:
    rouge_scorer = require("rouge_score.rouge_scorer", "language", "ROUGE", package="rouge-score")
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    return lambda references, prediction: float(scorer.score_multi(references, prediction)["rougeL"].fmeasure)
