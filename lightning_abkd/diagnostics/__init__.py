"""Pictures and checks of what a run did or would do, made from its logs or from a batch.

Here: what a user looks at. Not here: anything that trains, or that a training needs. Figures need the extra
`quickstart` (matplotlib).
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.diagnostics._alpha_beta_plane import plot_alpha_beta_plane as plot_alpha_beta_plane
    from lightning_abkd.diagnostics._curves import plot_curves as plot_curves, read_metrics as read_metrics
    from lightning_abkd.diagnostics._divergence_map import (
        DivergenceMap as DivergenceMap,
        divergence_map as divergence_map,
        plot_divergence_map as plot_divergence_map,
    )
    from lightning_abkd.diagnostics._points import plot_points as plot_points
    from lightning_abkd.diagnostics.doctor import Finding as Finding, check as check
    from lightning_abkd.training import Replay as Replay, replay_batch as replay_batch
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.diagnostics._alpha_beta_plane": ["plot_alpha_beta_plane"],
            "lightning_abkd.diagnostics._curves": ["plot_curves", "read_metrics"],
            "lightning_abkd.diagnostics._divergence_map": ["DivergenceMap", "divergence_map", "plot_divergence_map"],
            "lightning_abkd.diagnostics._points": ["plot_points"],
            "lightning_abkd.diagnostics.doctor": ["Finding", "check"],
            "lightning_abkd.training": ["Replay", "replay_batch"],
        },
        renamed={"sweep": "lightning_abkd.cli.sweep"},
    )
