"""Pictures and checks of what a run did, made from its logs.

Here: what a user looks at. Not here: anything that a training needs. Plots need the extra `quickstart` (matplotlib).
"""

from lightning_abkd.diagnostics._curves import plot_curves, read_metrics

__all__ = ["plot_curves", "read_metrics"]
