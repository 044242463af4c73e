"""What users do wrong and Lightning, torch or transformers notice, in one sentence each.

Here: errors of these libraries that say what is wrong with an option. Not here: those of the package, which are
sentences already, and those of users' code.
"""

import re
from pathlib import Path
from traceback import walk_tb

from lightning_abkd.cli._similar import did_you_mean

_MOST = 12
_MONITOR = re.compile(
    r"`?(?P<who>ModelCheckpoint|EarlyStopping|Early stopping)\b.*?(?:monitor='|metric `)(?P<key>[^'`]+)['`]"
)
_STATE = re.compile(r"Error\(s\) in loading state_dict for (?P<who>\w+):")
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
    if "lightning" in place.parts:
        return _of_lightning(error, text)
    if isinstance(error, OSError | ValueError) and not set(_HUBS).isdisjoint(place.parts):
        name = _asked_name(error)
        return f"Cannot load {name!r}: {text}" if name and name not in text else text
    return None


def _asked_name(error: BaseException) -> str | None:
    """Return the name that was asked of the hub, which its own message leaves out when there is no connection."""
    frames = (frame.f_locals.get("pretrained_model_name_or_path") for frame, _ in walk_tb(error.__traceback__))
    return next((each for each in frames if isinstance(each, str)), None)


def _of_lightning(error: BaseException, text: str) -> str | None:
    if found := _MONITOR.search(text):
        return _monitor(found["who"], found["key"], text)
    if "backend found" in text:
        return "Option `--trainer.accelerator` should name a device of this machine. Found none of that kind; try cpu."
    if type(error).__name__ == "MisconfigurationException" or isinstance(error, ModuleNotFoundError):
        return text
    return text if text.startswith("You selected an invalid") else None


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
