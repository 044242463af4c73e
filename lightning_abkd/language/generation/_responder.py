"""Which network responds when a trainer predicts."""

from collections.abc import Mapping, Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from torch import Tensor, nn

from lightning_abkd.language.generation._respond import prompts_of, respond
from lightning_abkd.language.generation._sampling import Sampling, SpecialIds, seed_of_stream

Role = Literal["student", "teacher"]


class GeneratedResponses(NamedTuple):
    """Responses to samples of a set, as `LanguageDistillationModule.predict_step` returns them.

    Args:
        samples: Positions of the samples in their set.
        ids: Token ids of each response, shape (T_i,).

    Example: see `Responder`.
    """

    samples: list[int]
    ids: list[Tensor]


@dataclass
class Responder:
    """Which network responds to predicted batches, and how.

    Args:
        network: Network that responds, "student" or "teacher".
        sampling: How to draw.
        seed: Seed. The draws of a batch depend on it and on the position of the batch's first sample, so that a run may
            resume in the middle of a set.
        done: Positions of samples that have their response already.

    Example:
        >>> import torch
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> network = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
        >>> batch = {"input_ids": torch.tensor([[5, 6], [7, 8]]), "index": torch.tensor([4, 5])}
        >>> responder = Responder(sampling=Sampling(max_new_tokens=3), done={4})
        >>> responder.respond(network, None, batch, SpecialIds(end=1, padding=0)).samples
        [5]
    """

    network: Role = "student"
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    done: AbstractSet[int] = frozenset()

    def respond(
        self, student: nn.Module, teacher: nn.Module | None, batch: Mapping[str, Tensor], special: SpecialIds
    ) -> GeneratedResponses:
        """Respond to those prompts of a batch that have no response yet.

        Raises:
            ValueError: If the teacher should respond and there is none.
        """
        network = student if self.network == "student" else teacher
        if network is None:
            raise ValueError("The teacher should respond. Found none; give the module a `teacher`.")
        samples = batch["index"].tolist() if "index" in batch else list(range(len(batch["input_ids"])))
        pairs = zip(samples, prompts_of(batch), strict=True)
        pending = [(sample, prompt) for sample, prompt in pairs if sample not in self.done]
        if not pending:
            return GeneratedResponses([], [])
        prompts = [prompt for _, prompt in pending]
        ids = respond(network, prompts, self.sampling, special, seed_of_stream(self.seed, samples[0]))
        return GeneratedResponses([sample for sample, _ in pending], ids)
