"""The module and the data module that callbacks of language models work with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightning_abkd.language import LanguageDistillationModule
from lightning_abkd.language.data import InstructionDataModule, TextSample
from lightning_abkd.language.generation import Role


@dataclass(frozen=True)
class LanguageRun:
    """Module and data module of a language model's run."""

    module: LanguageDistillationModule
    data: InstructionDataModule

    def responding_network(self, role: Role) -> nn.Module:
        """Return the network that responds.

        Raises:
            ValueError: If it is the teacher and there is none.
            TypeError: If it cannot generate.
        """
        network = self.module.student if role == "student" else self.module.teacher
        if network is None:
            raise ValueError("The teacher should respond. Found none; give the module a `teacher`.")
        if not hasattr(network, "generate"):
            raise TypeError(
                f"The {role} should be a network of transformers or peft, which can generate. "
                f"Found {type(network).__name__}."
            )
        return network

    def prompted_sets(self, stage: Literal["train", "validation", "test"]) -> list[list[TextSample]]:
        """Return the sets of a stage that is set up, in the order of its loaders.

        Raises:
            ValueError: If a sample has no prompt.
        """
        # Without test files, the validation data are the test data.
        sets = self.data.sets[stage if stage in self.data.sets else "validation"]
        for name, samples in sets.items():
            if not all(sample.prompt for sample in samples):
                where = f"the set {name!r}" if name else f"the {stage} set"
                raise ValueError(f"Samples should have prompts to respond to. Found plain text in {where}.")
        return list(sets.values())

    def texts(self, responses: Sequence[Tensor]) -> list[str]:
        """Decode responses without special tokens."""
        decode: Callable[..., str] = getattr(self.data.tokenizer, "decode")  # noqa: B009
        return [decode(ids.tolist(), skip_special_tokens=True) for ids in responses]


def language_run(callback: Callback, trainer: Trainer, pl_module: LightningModule) -> LanguageRun:
    """Return module and data module if they are those of a language model.

    Raises:
        TypeError: If the module is not a `LanguageDistillationModule`, or the data module not an
            `InstructionDataModule`.
    """
    name = type(callback).__name__
    data = getattr(trainer, "datamodule", None)
    if not isinstance(pl_module, LanguageDistillationModule):
        raise TypeError(f"{name} is for a LanguageDistillationModule. Found {type(pl_module).__name__}.")
    if not isinstance(data, InstructionDataModule):
        raise TypeError(f"{name} needs the samples of an InstructionDataModule. Found {type(data).__name__}.")
    return LanguageRun(pl_module, data)
