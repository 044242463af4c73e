"""Names under which evaluations are logged."""

from typing import Literal

Stage = Literal["val", "test"]


def stage_names(stage: Stage, data: object, loaders: int) -> list[str]:
    """Name what is logged for each loader of an evaluation.

    Args:
        stage: "val" or "test".
        data: Data module; its sets give the names if it has `set_names`.
        loaders: Number of loaders.

    Returns:
        The stage, followed by a set's name, or by a loader's number where there are several without names.

    Example:
        >>> stage_names("val", None, 1), stage_names("test", None, 2)
        (['val'], ['test/0', 'test/1'])
    """
    names: list[str] = []
    if hasattr(data, "set_names"):
        names = data.set_names("validation" if stage == "val" else "test")
    if not names and loaders > 1:
        names = [str(position) for position in range(loaders)]
    return [f"{stage}/{name}" for name in names] or [stage]
