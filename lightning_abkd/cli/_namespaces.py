"""Parts of a config as dicts."""

from jsonargparse import Namespace


def entries(value: object) -> dict[str, object]:
    """Return the entries of a namespace or dict, none of anything else.

    Example:
        >>> entries(Namespace(path="a", inside=Namespace(b=1)))
        {'path': 'a', 'inside': Namespace(b=1)}
    """
    if isinstance(value, Namespace):
        return dict(value.items(branches=True, nested=False))
    return dict(value) if isinstance(value, dict) else {}
