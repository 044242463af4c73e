"""Labels of tokens: shifted once, not on prompts, not on padding, with one sample as text."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red
from lightning_abkd.diagnostics.doctor._labels import first_sample
from lightning_abkd.diagnostics.doctor._patient import Patient, counted_rows, is_text
from lightning_abkd.training import IGNORED

_SHIFT = "label shift"
_PAD = "pad"
_SAMPLE = "a sample"
# Nearly all labels follow one rule; a few may be replaced or added.
_NEARLY_ALL = 0.9
_FEWEST_TOKENS = 30
# The loss of labels that are moved by one, as a share of the loss as given, that says that they are where they belong.
_MUCH_LOWER = 0.7
_LEAST_GAIN = 0.5
_LONGEST = 120
_CURE_OF_SHIFT = (
    "Let `labels` be the `input_ids` themselves, with -100 where none counts; the module shifts them by one."
)


def tokens(patient: Patient) -> list[Finding]:
    """Check shift and padding of the labels of a batch of text, and write its first sample out."""
    if not is_text(patient.batch):
        return [not_checked(_SHIFT, "the batch is no text, so nothing is shifted or padded"), first_sample(patient)]
    if "labels" not in patient.batch:
        return [not_checked(_SHIFT, "the batch has no labels, so every token that is not masked counts")]
    return [shift(patient), padding(patient), sample(patient)]


def shift(patient: Patient) -> Finding:
    """Check that a label is its own token, which the module compares with the prediction of the token before."""
    ids, labels = (patient.batch[name] for name in ("input_ids", "labels"))
    shares = {moved: _share(ids, labels, moved) for moved in (0, 1, -1)}
    later = max((1, -1), key=lambda moved: shares[moved])
    if shares[0] < _NEARLY_ALL <= shares[later]:
        what = f"Labels shifted twice: {100 * shares[later]:.0f} % of them are the token {_where(later)} their own"
        return red(_SHIFT, f"{what}, and the module shifts once more.", _CURE_OF_SHIFT)
    losses = _losses(patient)
    if losses is not None and _is_elsewhere(losses):
        best = min(losses, key=lambda moved: losses[moved])
        return red(
            _SHIFT,
            f"Labels shifted twice: the teacher's loss is {losses[0]:.2f} as given and {losses[best]:.2f} on the token "
            f"{_where(best)}.",
            f"{_CURE_OF_SHIFT} An override of `signals` should shift once.",
        )
    if shares[0] < _NEARLY_ALL:
        return not_checked(_SHIFT, "labels are neither the tokens nor their neighbours, and no teacher tells more")
    said = "" if losses is None else f"; teacher's loss {losses[0]:.2f}, moved by one {min(losses[1], losses[-1]):.2f}"
    return green(_SHIFT, f"labels are their own tokens, shifted once by the module{said}")


def _where(moved: int) -> str:
    return "after" if moved > 0 else "before"


def _share(ids: Tensor, labels: Tensor, moved: int) -> float:
    """Return which share of the labels is the token that stands `moved` places later."""
    width = ids.shape[1]
    own = labels[:, max(0, -moved) : width - max(0, moved)]
    other = ids[:, max(0, moved) : width - max(0, -moved)]
    counted = own != IGNORED
    return float((own == other)[counted].double().mean()) if bool(counted.any()) else 0.0


def _losses(patient: Patient) -> dict[int, float] | None:
    """Return the teacher's mean loss on the labels as given and moved by one place to either side."""
    signals = patient.signals
    if "teacher_logits" not in signals or signals["teacher_logits"].dim() != 3:
        return None
    labels = signals["labels"]
    found = {}
    for moved in (0, 1, -1):
        mask = torch.roll(signals["mask"], -moved, 1) & signals["mask"]
        mask[:, -1 if moved > 0 else 0] &= moved == 0
        if int(mask.sum()) < _FEWEST_TOKENS:
            return None
        rows = counted_rows({**signals, "mask": mask}, "teacher_logits").float()
        found[moved] = torch.nn.functional.cross_entropy(rows, torch.roll(labels, -moved, 1)[mask].long()).item()
    return found


def _is_elsewhere(losses: dict[int, float]) -> bool:
    best = min(losses.values())
    return best < _MUCH_LOWER * losses[0] and losses[0] - best > _LEAST_GAIN


def padding(patient: Patient) -> Finding:
    """Check that no label stands on padding."""
    ids, labels = (patient.batch[name] for name in ("input_ids", "labels"))
    mask = patient.batch.get("attention_mask")
    masked = torch.zeros_like(ids, dtype=torch.bool) if mask is None or mask.shape != ids.shape else mask == 0
    pad, end = (getattr(_tokenizer(patient), name, None) for name in ("pad_token_id", "eos_token_id"))
    run = _end_runs(ids, pad, is_end=pad == end) if isinstance(pad, int) else torch.zeros_like(masked)
    counted = (masked | run) & (labels != IGNORED)
    if int(counted.sum()):
        return red(
            _PAD,
            f"Pad counted: {int(counted.sum())} of {int((labels != IGNORED).sum())} counted labels are padding.",
            f"Set `labels` to {IGNORED} where `attention_mask` is 0.",
        )
    return green(_PAD, f"none of {int((masked | run).sum()):,} padded positions counts")


def _end_runs(ids: Tensor, pad: int, is_end: bool) -> Tensor:
    """Find runs of padding at both ends of rows; the first of a run on the right may be the end of a text."""
    is_pad = ids == pad
    right = is_pad.flip(1).long().cumprod(1).flip(1).bool()
    left = is_pad.long().cumprod(1).bool()
    if is_end:
        # Where padding is the end-of-text token, the first of the run on the right is the text's own end.
        right[:, 1:] &= right[:, :-1].clone()
        right[:, 0] = False
        left[:, :-1] &= left[:, 1:].clone()
    return right | (left & ~left.all(1, keepdim=True))


class _Parts(NamedTuple):
    """Text of a row before the first token that counts, and of those that count."""

    before: str
    counted: str


def sample(patient: Patient) -> Finding:
    """Write the first row as text: the end of what does not count, and what counts."""
    decode: Callable[..., str] | None = getattr(_tokenizer(patient), "decode", None)
    if decode is None:
        return not_checked(_SAMPLE, "the data module has no tokenizer that decodes")
    labels = patient.batch["labels"][0].cpu()
    ids = patient.batch["input_ids"][0].cpu()
    counted = (labels != IGNORED).nonzero().flatten()
    if not len(counted):
        return not_checked(_SAMPLE, "no token of the first row counts")
    first = int(counted[0])
    parts = _Parts(decode(ids[max(0, first - _LONGEST) : first].tolist()), decode(ids[counted[:_LONGEST]].tolist()))
    return green(_SAMPLE, f"{_shown(parts.before, at_end=True)} counted: {_shown(parts.counted, at_end=False)}")


def _shown(text: str, at_end: bool) -> str:
    """Return a text in one line and in quotes, its end or its beginning where it is long."""
    room = _LONGEST // 2
    cut = text[-room:] if at_end else text[:room]
    return ("…" if at_end and cut != text else "") + repr(cut) + ("…" if not at_end and cut != text else "")


def _tokenizer(patient: Patient) -> object:
    return getattr(patient.data, "tokenizer", None)
