"""What the callbacks of language models have in common."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, get_args

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightning_abkd.language import LanguageDistillationModule
from lightning_abkd.language.data import InstructionDataModule, TextSample

Role = Literal["student", "teacher"]


class _Decoder(Protocol):
    def decode(self, token_ids: list[int], skip_special_tokens: bool = False) -> str: ...


def check_role(network: Role) -> None:
    """Check the name of the network that responds.

    Raises:
        ValueError: If it is neither "student" nor "teacher".
    """
    if network not in get_args(Role):
        raise ValueError(f"Parameter `network` should be 'student' or 'teacher'. Found `network = {network!r}`.")


def checked(
    callback: Callback, trainer: Trainer, pl_module: LightningModule
) -> tuple[LanguageDistillationModule, InstructionDataModule]:
    """Give module and data module if they are those of language models.

    Raises:
        TypeError: If the module is no `LanguageDistillationModule`, or the data module no `InstructionDataModule`.
    """
    name, data = type(callback).__name__, getattr(trainer, "datamodule", None)
    if not isinstance(pl_module, LanguageDistillationModule):
        raise TypeError(f"{name} is for a LanguageDistillationModule. Found {type(pl_module).__name__}.")
    if not isinstance(data, InstructionDataModule):
        raise TypeError(f"{name} needs the samples of an InstructionDataModule. Found {type(data).__name__}.")
    return pl_module, data


def responder(module: LanguageDistillationModule, network: Role) -> nn.Module:
    """Give the network that responds.

    Raises:
        ValueError: If it is the teacher and there is none.
        TypeError: If it cannot generate.
    """
    chosen = module.student if network == "student" else module.teacher
    if chosen is None:
        raise ValueError("The teacher should respond. Found none; give the module a `teacher`.")
    if not hasattr(chosen, "generate"):
        raise TypeError(
            f"The {network} should be a network of transformers or peft, which can generate. "
            f"Found {type(chosen).__name__}."
        )
    return chosen


def prompted_sets(data: InstructionDataModule, stage: Literal["train", "validation", "test"]) -> list[list[TextSample]]:
    """Give the sets of a stage that is set up, in the order of its loaders.

    Raises:
        ValueError: If a sample has no prompt.
    """
    # Without files of its own a test is on the validation data.
    sets = data.sets[stage if stage in data.sets else "validation"]
    for name, samples in sets.items():
        if not all(sample.prompt for sample in samples):
            where = f"the set {name!r}" if name else f"the {stage} set"
            raise ValueError(f"Samples should have prompts to respond to. Found plain text in {where}.")
    return list(sets.values())


def texts_of(data: InstructionDataModule, responses: Sequence[Tensor]) -> list[str]:
    """Decode responses without special tokens."""
    decoder: _Decoder = data.tokenizer  # type: ignore[assignment]
    return [decoder.decode(ids.tolist(), skip_special_tokens=True) for ids in responses]


def append_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Add a line of JSON for each row; all of them are with the system afterwards."""
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(f"{json.dumps(row)}\n" for row in rows))


def write_whole(path: Path, text: str) -> None:
    """Write a file that is either the old or the new one, even if the process is killed meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.tmp")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
