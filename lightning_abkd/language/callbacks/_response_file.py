"""A file of responses that a killed run can continue."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info

from lightning_abkd.language.callbacks._text_files import append_lines, write_text


class ResponseFile:
    """One line of JSON per response, each with its `index`, in the order of the samples.

    `PATH.json` beside it names what the responses were made from.

    Args:
        path: The .jsonl file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._origin_path = Path(f"{path}.json")

    def resume(self, origin: Mapping[str, object], total: int, batch_size: int) -> int:
        """Create the file or continue it; the responses of a batch that was cut short are removed.

        Args:
            origin: What the responses are made from, by name.
            total: Number of responses of a finished file.
            batch_size: Number of responses per batch.

        Returns:
            The number of responses that need not be written again.

        Raises:
            ValueError: If the file was made from something else or has been changed.
        """
        if not self.path.exists():
            write_text(self._origin_path, json.dumps(origin, indent=2))
            write_text(self.path, "")
            return 0
        self._check_origin(origin)
        lines = self.path.read_text(encoding="utf-8").split("\n")
        # After the last line break there is nothing, or a line that was not finished.
        rest = lines.pop()
        self._check_order(lines)
        done = total if len(lines) == total else len(lines) - len(lines) % batch_size
        is_cut = bool(rest) or done < len(lines)
        if is_cut:
            write_text(self.path, "".join(f"{line}\n" for line in lines[:done]))
        repeated = " The batch that was cut short is written again." if is_cut else ""
        rank_zero_info(f"{self.path}: continues after {done} of {total} responses.{repeated}")
        return done

    def begun_with(self, name: str) -> str:
        """Return what a file that is to be continued was made from, by name; "" where there is none."""
        try:
            return str(json.loads(self._origin_path.read_text(encoding="utf-8"))[name])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def append(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Append responses with their `index`."""
        append_lines(self.path, rows)

    def _check_origin(self, origin: Mapping[str, object]) -> None:
        if not self._origin_path.exists():
            raise ValueError(
                f"{self.path} should have {self._origin_path} beside it to be continued. "
                "Found none; choose another `file`."
            )
        before = json.loads(self._origin_path.read_text(encoding="utf-8"))
        differing = [
            f"`{name} = {new}`, begun with {before[name]}" for name, new in origin.items() if before[name] != new
        ]
        if differing:
            raise ValueError(
                f"{self.path} should be continued as it was begun. Found {'; '.join(differing)}. Choose another `file`."
            )

    def _check_order(self, lines: list[str]) -> None:
        if [_index_of(line) for line in lines] != list(range(len(lines))):
            raise ValueError(
                f"{self.path} should hold a line for each index in turn. Found another order; it was changed."
            )


def _index_of(line: str) -> object:
    try:
        return json.loads(line)["index"]
    except (ValueError, KeyError, TypeError):
        return None
