"""Messages that a run logs once."""

from lightning.pytorch.utilities import rank_zero_info


class LogOnce:
    """Logs each message once, on rank zero.

    Attributes:
        messages: What has been logged.

    Example:
        >>> log = LogOnce()
        >>> for _ in range(2):
        ...     log("Left out 3 padding ids.")
        >>> log.messages
        {'Left out 3 padding ids.'}
    """

    def __init__(self) -> None:
        self.messages: set[str] = set()

    def __call__(self, message: str) -> None:
        """Log a message unless it has been logged before."""
        if message not in self.messages:
            rank_zero_info(message)
            self.messages.add(message)
