"""Numbers as people read them."""


def three_digits(value: float) -> str:
    """Write a number with three significant digits.

    Example:
        >>> three_digits(0.91234), three_digits(123.4), three_digits(0.8)
        ('0.912', '123', '0.800')
    """
    return f"{value:#.3g}".rstrip(".")
