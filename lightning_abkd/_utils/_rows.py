"""Rows split into parts that fit a budget."""

from collections.abc import Iterator


def row_slices(rows: int, columns: int, elements: int, multiple: int = 1) -> Iterator[slice]:
    """Split rows into slices of at most `elements` elements each, and of at least one row.

    Args:
        rows: Number of rows.
        columns: Number of elements per row.
        elements: Largest number of elements per slice.
        multiple: The rows of a slice are a multiple of this where so many fit, so that threads share them evenly.

    Example:
        >>> list(row_slices(5, columns=10, elements=20))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = max(1, elements // max(columns, 1))
    if size >= multiple:
        size -= size % multiple
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))
