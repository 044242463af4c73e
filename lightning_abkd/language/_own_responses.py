"""Training batches with responses of the student itself."""

from collections.abc import Callable

from torch import Tensor

from lightning_abkd.language.generation import OnPolicy, Sampling, SpecialIds, seed_of_stream, with_responses
from lightning_abkd.training import DistillationModule, training_length


def with_student_data(
    module: DistillationModule, policy: OnPolicy, batch: dict[str, Tensor], special: Callable[[], SpecialIds]
) -> dict[str, Tensor]:
    """Return the batch that a policy trains on; each rank draws responses of its own.

    Args:
        module: A module with its trainer, whose student responds.
        policy: Decides whether the student does.
        batch: Batch of the data.
        special: Returns the token ids that generation treats specially.
    """

    def respond_to(given: dict[str, Tensor], sampling: Sampling, seed: int) -> dict[str, Tensor]:
        own = seed_of_stream(seed, module.global_rank)
        return with_responses(module.student, given, sampling, special(), own)

    length = float(module.trainer.estimated_stepping_batches)
    if length < 0:
        # Lightning does not know it; this says what is missing.
        length = training_length(module.trainer, "step", type(policy).__name__)
    progress = module.global_step / max(1.0, length)
    chosen: dict[str, Tensor] = policy(batch, min(1.0, progress), respond_to)
    return chosen
