"""Paths that come from data: they stay in the folder that they belong to, and so do links on their way."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath


def leads_out(name: str) -> bool:
    """Return True for a name of a file that is no path below a folder: absolute, or with a way up.

    Example:
        >>> leads_out("cats/1.png"), leads_out("../1.png"), leads_out("/etc/passwd")
        (False, True, True)
    """
    windows = PureWindowsPath(name)
    has_drive = bool(windows.drive) and os.name == "nt"
    is_absolute = PurePosixPath(name).is_absolute() or bool(windows.root) or has_drive
    return not name or is_absolute or "\0" in name or ".." in (*PurePosixPath(name).parts, *windows.parts)


class Links:
    """Tells links that stay in a folder from those that lead out of it. The folder itself may be a link.

    Args:
        folder: The folder.
        follow: Whether links may lead anywhere; None where no option of the user's allows it.

    Example:
        >>> Links(Path("data"), follow=False).check("data/cats/1.png")
    """

    def __init__(self, folder: Path, follow: bool | None) -> None:
        self.folder = folder
        self._follow = follow
        self._inside = os.path.join(os.path.realpath(folder), "")

    def check(self, path: str | Path) -> None:
        """Raise ValueError if a path leads out of the folder by a link, or back to a folder that it lies in."""
        found = os.path.realpath(path)
        if f"{os.path.realpath(os.path.dirname(path))}{os.sep}".startswith(os.path.join(found, "")):
            raise ValueError(f"Folder `{self.folder}` should have an end. Found {path}, a link to a folder around it.")
        if not self._follow and not f"{found}{os.sep}".startswith(self._inside):
            allowed = "" if self._follow is None else ", or set `follow_symlinks: true` if its links may lead anywhere"
            raise ValueError(
                f"Folder `{self.folder}` should hold its files itself. Found {path}, which leads to {found}. Copy the "
                f"files{allowed}."
            )

    def check_files(self, paths: Sequence[Path]) -> None:
        """Check many files, each folder of them once."""
        for place in dict.fromkeys(path.parent for path in paths):
            if place != self.folder:
                self.check(place)
        for path in paths:
            if path.is_symlink():
                self.check(path)
