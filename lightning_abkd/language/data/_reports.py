"""What became of the records of the files, in one table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info


@dataclass(frozen=True)
class FileReport:
    """How many records a file has, how many samples became of them, and what happened to the others.

    Args:
        path: The file.
        rows: Number of its records.
        samples: Number of samples.
        counts: How often each thing happened.
    """

    path: Path
    rows: int
    samples: int
    counts: Counter[str]

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
    counts = [Counter({"records": report.rows}) + report.counts for report in reports]
    happened = dict.fromkeys(what for count in counts for what in count)
    lines = [["", *_names([report.path for report in reports])]]
    lines += [[what, *(str(count[what]) for count in counts)] for what in happened]
    lines.append(["samples", *(str(report.samples) for report in reports)])
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(_line(cells, widths) for cells in lines)


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the names of files, with their folders where two have the same."""
    names = [path.name for path in paths]
    return [path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}" for path in paths]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = "  ".join(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return f"{cells[0].ljust(widths[0])}  {numbers}"


def log_reports(reports: list[FileReport]) -> None:
    """Log the table of the files, if there are any, and empty the list, so that each is logged once."""
    if reports:
        rank_zero_info(f"Language data:\n{table_of(reports)}")
        reports.clear()
