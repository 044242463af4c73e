"""What users do wrong and Lightning, torch or transformers notice, in one sentence each.

Here: errors of these libraries that say what is wrong with an option. Not here: those of the package, which are
sentences already, and those of users' code.
"""

import re
from pathlib import Path
from traceback import walk_tb
from types import FrameType

from lightning_abkd.cli._similar import did_you_mean
from lightning_abkd.training import killed_worker, lost_rank

_MOST = 12
_MONITOR = re.compile(
    r"`?(?P<who>ModelCheckpoint|EarlyStopping|Early stopping)\b.*?(?:monitor='|metric `)(?P<key>[^'`]+)['`]"
)
_STATE = re.compile(r"Error\(s\) in loading state_dict for (?P<who>\w+):")
_NO_DATA = re.compile(r"`(?P<kind>\w+)_dataloader` must be implemented")
_OPTION_CHECKS = ("connectors", "callbacks")
# What torch says of an input that a layer cannot take.
_SHAPES = re.compile(
    r"shapes cannot be multiplied|to have \d+ channels|Expected \dD|Expected \d+D|size of tensor a|normalized_shape"
)
_LIBRARIES = ("site-packages", "dist-packages")
_HUBS = ("transformers", "huggingface_hub")


def library_sentence(error: BaseException, place: Path) -> str | None:
    """Return what to say of a library's error, None for one that says nothing of an option.

    Args:
        error: The error.
        place: The file that raised it.
    """
    text = " ".join(str(error).split())
    if found := _STATE.match(str(error)):
        return _other_network(str(error), found["who"])
    if (said := _of_processes(error)) is not None:
        return said
    if "lightning" in place.parts:
        return _of_lightning(error, text, place)
    if isinstance(error, RuntimeError) and _SHAPES.search(text):
        return _of_input(error, text)
    if isinstance(error, OSError | ValueError) and not set(_HUBS).isdisjoint(place.parts):
        name = _asked_name(error)
        return f"Cannot load {name!r}: {text}" if name and name not in text else text
    return None


def _of_processes(error: BaseException) -> str | None:
    """Say which other process is gone: a worker of a data loader, or another rank."""
    notes: list[str] = getattr(error, "__notes__", [])
    if (said := killed_worker(error)) is not None:
        return notes[0] if notes else said
    return lost_rank(error)


def _asked_name(error: BaseException) -> str | None:
    """Return the name that was asked of the hub, which its own message leaves out when there is no connection."""
    frames = (frame.f_locals.get("pretrained_model_name_or_path") for frame, _ in walk_tb(error.__traceback__))
    return next((each for each in frames if isinstance(each, str)), None)


def _of_input(error: BaseException, text: str) -> str | None:
    """Say which network could not take which input; None where a frame is of a user's own code."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    calls = [frame.f_locals for frame in frames if _is_call_of_network(frame)]
    if not calls or not all(map(_is_library, frames)):
        return None
    shapes = [str(tuple(each.shape)) for each in calls[0]["args"] if hasattr(each, "shape")]
    given = f" of shape {', '.join(shapes)}" if shapes else ""
    return f"The network {type(calls[0]['self']).__name__} does not fit the data: it got an input{given}. {text}"


def _is_call_of_network(frame: FrameType) -> bool:
    """Return True where torch calls a network, but for the module that is trained."""
    return frame.f_code.co_name == "_call_impl" and not hasattr(frame.f_locals["self"], "training_step")


def _is_library(frame: FrameType) -> bool:
    """Return True for code of this package or of an installed one."""
    path = Path(frame.f_code.co_filename)
    return path.is_relative_to(Path(__file__).parent.parent) or not set(_LIBRARIES).isdisjoint(path.parts)


def _of_lightning(error: BaseException, text: str, place: Path) -> str | None:
    if found := _MONITOR.search(text):
        return _monitor(found["who"], found["key"], text)
    if found := _NO_DATA.search(text):
        return (
            f"Found no data for `{found['kind']}`. Name a data module as `data` in the config or as `--data CLASS`; "
            "`abkd list data` lists ours."
        )
    if "backend found" in text:
        return "Option `--trainer.accelerator` should name a device of this machine. Found none of that kind; try cpu."
    return text if _is_of_an_option(error, place) or text.startswith("You selected an invalid") else None


def _is_of_an_option(error: BaseException, place: Path) -> bool:
    """Return True for the errors with which Lightning refuses an option."""
    if type(error).__name__ == "MisconfigurationException" or isinstance(error, ModuleNotFoundError):
        return True
    return isinstance(error, ValueError) and not set(_OPTION_CHECKS).isdisjoint(place.parts)


def _monitor(who: str, key: str, text: str) -> str:
    """Say which value a callback waits for in vain, and which there are."""
    logged = re.findall(r"['`]([\w./]+)['`]", text.partition(key)[2].partition("HINT")[0])
    name = who.replace("Early stopping", "EarlyStopping")
    there = [each for each in logged if each.startswith(key.partition("/")[0])] or logged
    shown = ", ".join(there[:_MOST])
    problem = f"{name} watches `monitor: {key}`, which is not logged."
    return " ".join(filter(None, (problem, did_you_mean(key, logged), f"There are {shown}.")))


def _other_network(text: str, who: str) -> str:
    """Say how a checkpoint differs from the network, in numbers and one example each."""
    missing = _names(text, "Missing")
    unexpected = _names(text, "Unexpected")
    sizes = re.findall(r"size mismatch for ([\w.]+): (.*?)\.$", text, re.MULTILINE)
    parts = [f"{len(missing)} missing, such as {missing[0]}"] if missing else []
    parts += [f"{len(unexpected)} unknown, such as {unexpected[0]}"] if unexpected else []
    parts += [f"{len(sizes)} of other sizes, such as {sizes[0][0]}"] if sizes else []
    return (
        f"The checkpoint is of another network than the config's {who}. Found weights {'; '.join(parts)}. "
        "Take the config that it was trained with."
    )


def _names(text: str, kind: str) -> list[str]:
    line = re.search(rf"{kind} key\(s\) in state_dict: (.*)", text)
    return re.findall(r'"([^"]+)"', line[1]) if line else []
