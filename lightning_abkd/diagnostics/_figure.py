"""A figure of panels: opened without a display, saved as a file."""

from pathlib import Path

from lightning_abkd._utils import require, write_whole

_DOTS_PER_INCH = 130
_TITLE_SIZE = 11
_NOTE_SIZE = 8


class Panel:
    """One panel of a figure.

    Args:
        figure: The figure.
        row: Its row, from the top.
        column: Its column.

    Attributes:
        axes: The `matplotlib.axes.Axes` to draw into.
    """

    def __init__(self, figure: "Figure", row: int, column: int) -> None:
        self.axes = figure.grid[row, column]

    def set_title(self, title: str) -> None:
        """Write a title above the panel."""
        self.axes.set_title(title, fontsize=_TITLE_SIZE)

    def note(self, text: str) -> None:
        """Write a remark into the panel, where lines leave the most room."""
        if text:
            remark = self.axes.legend([], [], title=text, title_fontsize=_NOTE_SIZE, loc="best", frameon=True)
            remark.get_frame().set_alpha(0.8)


class Figure:
    """A figure of panels in rows and columns, which does not touch the backend and the figures of pyplot.

    Args:
        rows: Number of rows.
        columns: Number of panels per row.
        size: Width and height in inches.
        share_x: True where all panels have one x-axis.

    Attributes:
        page: The `matplotlib.figure.Figure`.
        panels: Its panels, row by row.

    Raises:
        ModuleNotFoundError: If matplotlib is missing.
    """

    def __init__(self, rows: int, columns: int, size: tuple[float, float], share_x: bool = False) -> None:
        matplotlib = require("matplotlib.figure", "quickstart", "A picture")
        self.page = matplotlib.Figure(figsize=size, layout="constrained")
        self.grid = self.page.subplots(rows, columns, sharex=share_x, squeeze=False)
        self.panels = [Panel(self, row, column) for row in range(rows) for column in range(columns)]

    def save(self, output: str | Path) -> Path:
        """Write the figure in the format of the path's suffix; its folder is created."""
        output = Path(output)
        with write_whole(output) as part:
            self.page.savefig(part, dpi=_DOTS_PER_INCH, format=output.suffix.removeprefix(".") or None)
        return output
