"""Responses of causal language models, and the batches that they make."""

from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lightning_abkd.language.data import IGNORE_INDEX, Tokenizer
from lightning_abkd.training import eval_mode


class Sampling:
    """How responses are drawn from a language model.

    Args:
        max_new_tokens: Longest response in tokens, at least 1.
        temperature: Divides the logits; 0 takes the most probable token each time (greedy).
        top_p: Draw from the most probable tokens that together have this probability, in (0, 1].
        no_repeat_ngram_size: Forbid that a sequence of so many tokens occurs twice; 0 forbids nothing. ABKD's final
            evaluation uses 6.

    Raises:
        ValueError: If an argument is outside its range.
    """

    def __init__(
        self, max_new_tokens: int = 256, temperature: float = 1.0, top_p: float = 1.0, no_repeat_ngram_size: int = 0
    ) -> None:
        if max_new_tokens < 1:
            raise ValueError(
                f"Parameter `max_new_tokens` should be at least 1. Found `max_new_tokens = {max_new_tokens}`."
            )
        if not 0.0 <= temperature < float("inf"):
            raise ValueError(
                f"Parameter `temperature` should be finite and at least 0. Found `temperature = {temperature}`."
            )
        if not 0.0 < top_p <= 1.0:
            raise ValueError(f"Parameter `top_p` should lie in (0, 1]. Found `top_p = {top_p}`.")
        if no_repeat_ngram_size < 0:
            raise ValueError(
                "Parameter `no_repeat_ngram_size` should be at least 0. "
                f"Found `no_repeat_ngram_size = {no_repeat_ngram_size}`."
            )
        self.max_new_tokens, self.temperature, self.top_p = max_new_tokens, temperature, top_p
        self.no_repeat_ngram_size = no_repeat_ngram_size

    def options(self) -> dict[str, object]:
        """Give the options of transformers' `generate`."""
        options: dict[str, object] = {"do_sample": self.temperature > 0, "max_new_tokens": self.max_new_tokens}
        if self.temperature:
            options |= {"temperature": self.temperature, "top_p": self.top_p, "top_k": 0}
        return options | {"no_repeat_ngram_size": self.no_repeat_ngram_size}


@dataclass(frozen=True)
class Special:
    """Ids with a meaning: what ends a response, what pads, and how many ids are real (None: all)."""

    end: int | None
    padding: int
    vocabulary: int | None = None


def special_of(tokenizer: Tokenizer | None, network: nn.Module, vocabulary: int | None = None) -> Special:
    """Find the ids with a meaning: those of a tokenizer, else those of the network's configuration."""
    source = getattr(network, "config", None) if tokenizer is None else tokenizer
    end = getattr(source, "eos_token_id", None)
    end = end[0] if isinstance(end, list) else end
    padding = getattr(source, "pad_token_id", None)
    # Padded positions are masked, so that any id will do.
    return Special(end, padding if padding is not None else end or 0, vocabulary)


def prompts_of(batch: Mapping[str, Tensor]) -> list[Tensor]:
    """Take the prompts (T_i,) out of a batch: what stands before the first label of each row.

    Raises:
        ValueError: If the batch is packed.
    """
    if "position_ids" in batch:
        raise ValueError("Responses to packed samples cannot be generated. Set `packing: false`.")
    ids = batch["input_ids"]
    attended = batch.get("attention_mask", torch.ones_like(ids)).bool()
    # A row without labels is all prompt.
    counted = batch.get("labels", torch.full_like(ids, IGNORE_INDEX)) != IGNORE_INDEX
    before = (counted.cumsum(-1) == 0) & attended
    return [row[keep] for row, keep in zip(ids, before, strict=True)]


def respond(
    network: nn.Module, prompts: Sequence[Tensor], sampling: Sampling, special: Special, seed: int | None = None
) -> list[Tensor]:
    """Let a network respond to prompts, together, with its cache of keys and values.

    Args:
        network: A causal language model of transformers or peft; eval mode for the time being.
        prompts: Ids, shape (T_i,) each; an empty one is begun with the end-of-text token.
        sampling: How to draw.
        special: Ids with a meaning.
        seed: Seed of this call alone; None draws from torch's random state.

    Returns:
        Ids of each response, the end-of-text token included where it was reached, on the network's device.

    Raises:
        ValueError: If a prompt leaves no room for a response, or there is nothing to begin one with.
    """
    if any(len(prompt) == 0 for prompt in prompts) and special.end is None:
        raise ValueError("A response should have a prompt, or a tokenizer with an end-of-text token. Found neither.")
    starts = [prompt if len(prompt) else prompt.new_tensor([special.end]) for prompt in prompts]
    longest = max(len(start) for start in starts)
    # The shorter ones are padded on the left, so that all responses begin in one column.
    ids = pad_sequence(starts, batch_first=True, padding_value=special.padding, padding_side="left")
    mask = pad_sequence([torch.ones_like(start) for start in starts], batch_first=True, padding_side="left")
    options = sampling.options() | {"max_new_tokens": _room(network, longest, sampling.max_new_tokens)}
    with eval_mode(network), _seeded(seed, ids.device):
        config = _generation_config(network, options, special)
        generated = network.generate(input_ids=ids, attention_mask=mask, generation_config=config)  # type: ignore[operator]
    return [_ended(row, special.end) for row in generated[:, longest:]]


def answered(prompts: Sequence[Tensor], responses: Sequence[Tensor], padding: int) -> dict[str, Tensor]:
    """Make a batch of prompts and responses, as the data module does: padded right, labels on the responses alone."""
    rows = [torch.cat(pair) for pair in zip(prompts, responses, strict=True)]
    labels = [torch.cat([torch.full_like(a, IGNORE_INDEX), b]) for a, b in zip(prompts, responses, strict=True)]
    return {
        "input_ids": pad_sequence(rows, batch_first=True, padding_value=padding),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in rows], batch_first=True),
        "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORE_INDEX),
    }


def with_responses(
    network: nn.Module, batch: dict[str, Tensor], sampling: Sampling, special: Special, seed: int
) -> dict[str, Tensor]:
    """Replace a batch's responses by those of a network; without a single one the batch stays, and that is said."""
    prompts = prompts_of(batch)
    responses = respond(network, prompts, sampling, special, seed)
    if any(len(response) for response in responses):
        return answered(prompts, responses, special.padding)
    rank_zero_warn("The student responded nothing to any prompt of a batch; the batch's own responses are used.")
    return batch


class GeneratedResponses(NamedTuple):
    """Responses (T_i,) to samples, and the samples' positions in their set."""

    samples: list[int]
    ids: list[Tensor]


@dataclass
class Responder:
    """Who responds to batches that are predicted, and how.

    Args:
        network: Student or teacher.
        sampling: How to draw.
        seed: Seed; each batch adds the position of its first sample, so that a run may go on in the middle.
        done: Positions that need no response any more.
    """

    network: Literal["student", "teacher"] = "student"
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    done: AbstractSet[int] = frozenset()

    def respond(
        self, student: nn.Module, teacher: nn.Module | None, batch: Mapping[str, Tensor], special: Special
    ) -> GeneratedResponses:
        """Respond to the prompts of a batch that are not done.

        Raises:
            ValueError: If the teacher is to respond and there is none.
        """
        network = student if self.network == "student" else teacher
        if network is None:
            raise ValueError("The teacher should respond. Found none; give the module a `teacher`.")
        index = batch["index"].tolist() if "index" in batch else list(range(len(batch["input_ids"])))
        prompts = prompts_of(batch)
        wanted = [position for position, sample in enumerate(index) if sample not in self.done]
        if not wanted:
            return GeneratedResponses([], [])
        chosen = [prompts[position] for position in wanted]
        ids = respond(network, chosen, self.sampling, special, self.seed + index[0])
        return GeneratedResponses([index[position] for position in wanted], ids)


def _room(network: nn.Module, longest: int, wanted: int) -> int:
    """Limit a response to the positions that the network has."""
    config = network.config.get_text_config()  # type: ignore[union-attr, operator]
    positions: int | None = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return wanted
    if longest >= positions:
        raise ValueError(
            f"A prompt should be shorter than the {positions} positions of {type(network).__name__}. "
            f"Found {longest} tokens. Lower `max_prompt_length`."
        )
    return min(wanted, positions - longest)


def _generation_config(network: nn.Module, options: dict[str, object], special: Special) -> object:
    """Build a configuration in which the network's own has no say: what is left out here would be taken from it."""
    from transformers import GenerationConfig

    size = network.config.get_text_config().vocab_size  # type: ignore[union-attr, operator]
    padded = list(range(special.vocabulary or size, size))
    tokens = {"eos_token_id": special.end, "pad_token_id": special.padding, "suppress_tokens": padded or None}
    return GenerationConfig(**options, **tokens, repetition_penalty=1.0, num_beams=1, use_cache=True)


def _ended(row: Tensor, end: int | None) -> Tensor:
    """Cut a response behind its first end-of-text token."""
    if end is None:
        return row
    ends = (row == end).nonzero()
    return row[: int(ends[0]) + 1] if len(ends) else row


@contextmanager
def _seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Draw from a random state of its own, unless the seed is None."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        torch.manual_seed(seed)
        yield
