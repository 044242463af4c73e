"""Responses of causal language models to prompts, and batches made of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lightning_abkd.language._networks import text_config
from lightning_abkd.language.data import IGNORE_INDEX, pad_batch
from lightning_abkd.language.generation._sampling import Sampling, SpecialIds
from lightning_abkd.training import eval_mode, has_pieces, is_sharded


def prompts_of(batch: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the prompt (T_i,) of each row of a batch: its `prompt_length` ids, or else those before its first label.

    Raises:
        ValueError: If the batch is packed.

    Example:
        >>> prompts_of({"input_ids": torch.tensor([[5, 6, 7]]), "labels": torch.tensor([[-100, -100, 7]])})
        [tensor([5, 6])]
    """
    if "position_ids" in batch:
        raise ValueError("Responses to packed samples cannot be generated. Set `packing: false`.")
    ids = batch["input_ids"]
    attended = batch.get("attention_mask", torch.ones_like(ids)).bool()
    # A row without labels is all prompt.
    counted = batch.get("labels", torch.full_like(ids, IGNORE_INDEX)) != IGNORE_INDEX
    before = (counted.cumsum(-1) == 0) & attended
    if "prompt_length" in batch:
        # Rows are padded on the right.
        before = torch.arange(ids.shape[1], device=ids.device) < batch["prompt_length"].unsqueeze(1)
    return [row[keep] for row, keep in zip(ids, before, strict=True)]


def respond(
    network: nn.Module, prompts: Sequence[Tensor], sampling: Sampling, special: SpecialIds, seed: int | None = None
) -> list[Tensor]:
    """Let a network respond to all prompts in one batch, with its cache of keys and values.

    Args:
        network: A causal language model of transformers or peft; it runs in eval mode.
        prompts: Ids of each prompt, shape (T_i,); an empty prompt starts with the end-of-text token.
        sampling: How to draw.
        special: Token ids that generation treats specially.
        seed: Seed of this call alone; None draws from torch's random state.

    Returns:
        Ids of each response on the network's device, the end-of-text token included where it was reached.

    Raises:
        ValueError: If a prompt fills all positions of the network, or is empty and there is no end-of-text token.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> network = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
        >>> greedy = Sampling(max_new_tokens=3, temperature=0.0)
        >>> len(respond(network, [torch.tensor([5, 6])], greedy, SpecialIds(end=None, padding=0))[0])
        3
    """
    starts = _starts(prompts, special.end)
    longest = max(len(start) for start in starts)
    # The shorter ones are padded on the left, so that all responses begin in one column.
    ids = pad_sequence(starts, batch_first=True, padding_value=special.padding, padding_side="left")
    mask = pad_sequence([torch.ones_like(start) for start in starts], batch_first=True, padding_side="left")
    options = sampling.options() | {"max_new_tokens": _response_limit(network, longest, sampling.max_new_tokens)}
    generate: Callable[..., Tensor] = getattr(network, "generate")  # noqa: B009
    with eval_mode(network), _random_state(seed, ids.device):
        config = _generation_config(network, options, special)
        generated = generate(input_ids=ids, attention_mask=mask, generation_config=config, **_in_step(network))
    return [_cut_at_end(row, special.end) for row in generated[:, longest:]]


def _in_step(network: nn.Module) -> dict[str, bool]:
    """Let all ranks generate equally many tokens where each forward pass gathers pieces of weights, and only there."""
    return {"synced_gpus": has_pieces(network)} if is_sharded(network) else {}


def with_responses(
    network: nn.Module, batch: dict[str, Tensor], sampling: Sampling, special: SpecialIds, seed: int
) -> dict[str, Tensor]:
    """Replace the responses of a batch by the network's own; only they have labels.

    If all responses are empty, the batch stays as it is, and a warning is issued.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> network = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
        >>> batch = {"input_ids": torch.tensor([[5, 6, 7]]), "labels": torch.tensor([[-100, -100, 7]])}
        >>> greedy = Sampling(max_new_tokens=3, temperature=0.0)
        >>> with_responses(network, batch, greedy, SpecialIds(end=None, padding=0), seed=0)["labels"].shape
        torch.Size([1, 5])
    """
    prompts = prompts_of(batch)
    responses = respond(network, prompts, sampling, special, seed)
    if any(len(response) for response in responses):
        return batch_of(prompts, responses, special.padding)
    rank_zero_warn("All responses of the student to a batch are empty; the batch's own responses are used.")
    return batch


def batch_of(prompts: Sequence[Tensor], responses: Sequence[Tensor], padding: int) -> dict[str, Tensor]:
    """Build a batch of prompts and responses as the data module does, with labels on the responses alone.

    Example:
        >>> batch_of([torch.tensor([5, 6])], [torch.tensor([7])], padding=0)["labels"].tolist()
        [[-100, -100, 7]]
    """
    pairs = list(zip(prompts, responses, strict=True))
    rows = [torch.cat(pair) for pair in pairs]
    labels = [torch.cat([torch.full_like(prompt, IGNORE_INDEX), response]) for prompt, response in pairs]
    return pad_batch(rows, labels, padding)


def _starts(prompts: Sequence[Tensor], end: int | None) -> list[Tensor]:
    """Start empty prompts with the end-of-text token."""
    if end is None:
        if not all(len(prompt) for prompt in prompts):
            raise ValueError(
                "A response should have a prompt, or a tokenizer with an end-of-text token. Found neither."
            )
        return list(prompts)
    return [prompt if len(prompt) else prompt.new_tensor([end]) for prompt in prompts]


def _response_limit(network: nn.Module, longest: int, wanted: int) -> int:
    """Limit the tokens of a response to the positions that the network has left after the longest prompt."""
    positions: int | None = getattr(text_config(network), "max_position_embeddings", None)
    if positions is None:
        return wanted
    if longest >= positions:
        raise ValueError(
            f"A prompt should be shorter than the {positions} positions of {type(network).__name__}. "
            f"Found {longest} tokens. Lower `max_prompt_length`."
        )
    return min(wanted, positions - longest)


def _generation_config(network: nn.Module, options: dict[str, object], special: SpecialIds) -> object:
    """Build a configuration that sets every option; `generate` would take missing ones from the network's own."""
    from transformers import GenerationConfig

    size = text_config(network).vocab_size
    padded = list(range(special.vocabulary or size, size))
    tokens = {"eos_token_id": special.end, "pad_token_id": special.padding, "suppress_tokens": padded or None}
    return GenerationConfig(**options, **tokens, repetition_penalty=1.0, num_beams=1, use_cache=True)


def _cut_at_end(row: Tensor, end: int | None) -> Tensor:
    """Cut a response after its first end-of-text token."""
    if end is None:
        return row
    ends = (row == end).nonzero()
    return row[: int(ends[0]) + 1] if len(ends) else row


@contextmanager
def _random_state(seed: int | None, device: torch.device) -> Iterator[None]:
    """Draw from a separate random state with this seed, or from torch's own if the seed is None."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        torch.manual_seed(seed)
        yield
