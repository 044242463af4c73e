"""What `--help` shows: our options first, each in a few lines, with the names that it takes.

Here: the layout, and what is left out. Not here: which options there are.
"""

import textwrap
from argparse import SUPPRESS, Action
from collections.abc import Iterable, Iterator

from jsonargparse import _typehints
from jsonargparse._actions import _ActionConfigLoad, _ActionHelpClassPath

from lightning_abkd.cli._candidates import candidates

_COLUMNS = 80
_LEFT = 34
_MARGIN = " " * 6
_LAST = ("optimizer", "lr_scheduler", "weights_only", "verbose")
_COMMON = (
    "accelerator",
    "accumulate_grad_batches",
    "callbacks",
    "devices",
    "fast_dev_run",
    "gradient_clip_val",
    "limit_train_batches",
    "logger",
    "max_epochs",
    "max_steps",
    "precision",
    "strategy",
)
# Options that Lightning adds, in words of this command.
_WORDS = {
    "config": "Config of the run. Several are applied in their order; abkd:NAME is one of `abkd configs`.",
    "print_config": "Print the config with all options applied, and exit.",
    "seed_everything": "Seed of the run; true takes a random one.",
    "model": "Module that is trained.",
    "data": "Data module.",
    "ckpt_path": "Checkpoint to go on from or to measure: a file, best or last.",
    "return_predictions": "Return the predictions to the Python code that called the command.",
    "weights_only": "Read only tensors and plain values from the checkpoint.",
    "verbose": "Print the results.",
    "optimizer": "Optimizer of a module that brings none; ours take --model.optimizer.",
    "lr_scheduler": "Learning-rate schedule of a module that brings none.",
    "trainer.accelerator": "cpu, gpu, mps or auto.",
    "trainer.accumulate_grad_batches": "Batches of one optimizer step.",
    "trainer.fast_dev_run": "Run this many batches of each kind to see whether everything fits.",
    "trainer.limit_train_batches": "Batches of an epoch (a whole number) or part of them (a fraction).",
    "trainer.logger": "Logger, such as CSVLogger or TensorBoardLogger; false for none.",
    "trainer.max_epochs": "Epochs of the training.",
    "trainer.max_steps": "Optimizer steps of the training.",
    "trainer.strategy": "How devices work together, such as ddp.",
    "trainer.callbacks": "Callbacks; --trainer.callbacks+ adds one to those of the config.",
    "trainer.precision": "Precision, such as 32-true, bf16-mixed or 16-mixed.",
}
_FOOT = """\
A class is named by its short name or its path; its options follow with a dot:
  abkd {command} --config mine.yaml --model.divergence DKD \\
      --model.divergence.target_weight 2

Options of a class, at any depth, and of the trainer:
  abkd {command} --model.help DistillationModule
  abkd {command} --model.divergence.help DKD
  abkd {command} --trainer.help
"""


def command_help(command: str, description: str, actions: Iterable[Action], module: Iterable[Action]) -> str:
    """Return the help of `abkd fit` and its like: of the trainer's options only the most common.

    Args:
        command: Name of the command.
        description: What it does.
        actions: Its options.
        module: Options of the module that is used most.
    """
    shown = list(_options(actions))
    trainer = [each for each in shown if each.dest.startswith("trainer.")]
    common = [each for each in trainer if _name(each) in _COMMON]
    others = ", ".join(_name(each) for each in trainer if each not in common)
    ours = sorted((each for each in shown if not each.dest.startswith("trainer")), key=_is_last)
    parts = [
        f"usage: abkd {command} --config FILE [--config FILE …] [options]\n\n{textwrap.fill(description, _COLUMNS)}\n",
        *_with_classes(ours),
        "\nOptions of a DistillationModule:",
        *_with_classes(_options(module)),
        "\nOptions of Lightning's trainer:",
        *map(_short_entry, common),
        textwrap.fill(f"Others, each as --trainer.NAME: {others}.", _COLUMNS, break_on_hyphens=False),
        f"\n{_FOOT.format(command=command)}",
    ]
    return "\n".join(parts)


def class_help(description: str, title: str, actions: Iterable[Action]) -> str:
    """Return the help of a class: all its options."""
    entries = "\n\n".join(_entries(_options(actions)))
    head = [textwrap.fill(each, _COLUMNS) for each in (description, title) if each]
    return "\n".join(head) + f"\n\n{entries}\n"


def _options(actions: Iterable[Action]) -> Iterator[Action]:
    """Yield the options that take a value; how the help of a class is shown is said once, at the end."""
    for each in actions:
        is_said = isinstance(each, _ActionHelpClassPath | _ActionConfigLoad) or each.dest == "help"
        if not is_said and each.help != SUPPRESS:
            yield each


def _name(action: Action) -> str:
    return action.dest.rpartition(".")[2]


def _is_last(action: Action) -> bool:
    return action.dest in _LAST


def _short_entry(action: Action) -> str:
    """Lay out an option in one or two lines: its name, what it is for, its default."""
    text = _WORDS.get(action.dest) or (action.help or "").partition(". ")[0].rstrip(".") + "."
    text = " ".join(text.replace("``", "").split())
    names = ", ".join(each for each in action.option_strings if not each.endswith("+"))
    room = _COLUMNS - _LEFT
    lines = textwrap.wrap(text, room, max_lines=2, placeholder=" …", break_on_hyphens=False)
    margin = " " * _LEFT
    # A name that fills its column has its text below it.
    head = [f"  {names}", margin] if len(names) > _LEFT - 4 else [f"  {names}".ljust(_LEFT)]
    return "\n".join(head) + f"\n{margin}".join(lines)


def _with_classes(actions: Iterable[Action]) -> Iterator[str]:
    """Yield an entry for each option of the module, with the names that it takes where those are ours."""
    seen: set[str] = set()
    for each in actions:
        yield _short_entry(each)
        names = candidates(getattr(each, "_typehint", None), most=0)
        if names and names not in seen and each.dest not in _LAST:
            yield "\n".join(indented(names))
        seen.add(names)


def _entries(actions: Iterable[Action]) -> Iterator[str]:
    """Yield all of each option: its name, what it is for, its type and default, and the names that it takes."""
    seen: dict[str, str] = {}
    for each in actions:
        option = ", ".join(each.option_strings)
        lines = [f"  {option}", *indented(" ".join((each.help or "").split())), *indented(_type(each))]
        if names := candidates(getattr(each, "_typehint", None)):
            first = seen.setdefault(names, option)
            lines += indented(names if first == option else f"Takes what {first} takes.")
        yield "\n".join(lines)


def indented(text: str) -> list[str]:
    """Return the lines of a text below an option."""
    return textwrap.wrap(text, _COLUMNS, initial_indent=_MARGIN, subsequent_indent=_MARGIN, break_on_hyphens=False)


def _type(action: Action) -> str:
    """Return the type and the default, or nothing for an option without them."""
    hint = getattr(action, "_typehint", None)
    if hint is None:
        return ""
    default = action.default
    if isinstance(default, dict) or hasattr(default, "class_path"):
        default = str(default["class_path"]).rpartition(".")[2]
    shown = "required" if action.required else f"default {'null' if default is None else default}"
    return f"({_typehints.type_to_str(hint)}, {shown})"
