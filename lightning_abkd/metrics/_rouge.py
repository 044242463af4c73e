"""How much of a reference a generated text has in common with it."""

import functools
from collections.abc import Callable, Sequence

import torch

from lightning_abkd.metrics._mean import PositionMean


class RougeL(PositionMean):
    """Mean ROUGE-L of generated texts, between 0 and 100; see `rouge_l`.

    Each update brings texts, not logits; NaN while there is none.

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
            references: For each of them the texts that count as right.

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
        self._accumulate(torch.tensor(scores, device=self.device), None)


def rouge_l(prediction: str, references: Sequence[str]) -> float:
    """Compute ROUGE-L of a text, the best over its references, as ABKD's language experiments report it.

    Lin 2004, "ROUGE". With L the length of the longest common subsequence of words it is 2L / (n + m), the harmonic
    mean of L over the n words of the prediction and over the m of the reference, times 100. Words are lower-case
    letters and digits, those of more than three reduced to Porter's stem. A text without words scores 0.

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
    try:
        from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("ROUGE needs rouge-score: pip install 'lightning-abkd[language]'.") from error
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return lambda references, prediction: float(scorer.score_multi(references, prediction)["rougeL"].fmeasure)
