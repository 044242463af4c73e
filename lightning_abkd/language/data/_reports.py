"""What became of the records of the files, in one table."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info

_PARTS = ("set aside for validation", "left out by train_size")


@dataclass(frozen=True)
class FileReport:
    """How many records a file has, how many samples became of them, and what happened to the others.

    Args:
        path: The file.
        rows: Number of its records.
        samples: Number of samples.
        counts: How often each thing happened.
        parts: How many samples are used otherwise than for training.
    """

    path: Path
    rows: int
    samples: int
    counts: Counter[str]
    parts: Counter[str] = field(default_factory=Counter)

    @property
    def amounts(self) -> Counter[str]:
        """All numbers of the table."""
        return self.counts + self.parts + Counter({"records": self.rows, "samples": self.samples})

    @property
    def reasons(self) -> str:
        """What happened, in words."""
        return ", ".join(f"{what}: {count}" for what, count in self.counts.items() if count) or "no record"


def table_of(reports: Sequence[FileReport]) -> str:
    """Write one column for each file, and one line for each thing that happened in one of them.

    Example:
        >>> print(table_of([FileReport(Path("a.jsonl"), 9, 7, Counter({"dropped: empty response": 2}))]))
                                 a.jsonl
        records                        9
        dropped: empty response        2
        samples                        7
    """
    names = ["records", *_happened(report.counts for report in reports), "samples"]
    names += _happened(report.parts for report in reports)
    lines = [["", *_names([report.path for report in reports])]]
    lines += [[name, *(str(report.amounts[name]) for report in reports)] for name in names]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(_line(cells, widths) for cells in lines)


def _happened(counts: Iterable[Counter[str]]) -> list[str]:
    return list(dict.fromkeys(what for count in counts for what in +count))


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the names of files, with their folders where two have the same."""
    names = [path.name for path in paths]
    return [path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}" for path in paths]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = "  ".join(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return f"{cells[0].ljust(widths[0])}  {numbers}"


def report_parts(reports: Sequence[FileReport], held_out: int, unused: int) -> None:
    """Say of the file that was read last how many of its samples are not trained on."""
    for report in reports[-1:]:
        report.parts.update(dict(zip(_PARTS, (held_out, unused), strict=True)))


def log_reports(reports: list[FileReport]) -> None:
    """Log the table of the files, if there are any, and empty the list, so that each is logged once."""
    if reports:
        rank_zero_info(f"Language data:\n{table_of(reports)}")
        reports.clear()
