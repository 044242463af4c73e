"""The description of a teacher cache, kept as meta.json in its folder."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lightning_abkd._utils import write_whole
from lightning_abkd.language.teachers._cache_identity import CacheIdentity

CacheKind = Literal["hidden", "top_k"]
CacheDtype = Literal["float16", "float32"]

META = "meta.json"
_VERSION = 1


@dataclass(frozen=True)
class CacheStatistics:
    """Size and error of a cache.

    Args:
        samples: Number of samples.
        tokens: Number of counted tokens in them.
        bytes_per_token: Bytes on disk per token; the output head is stored once in addition.
        tail_mass: Mean probability outside the k classes; None for the kind "hidden".
        entropy_lost: Mean entropy of the teacher minus that of its k + 1 buckets, in nats; None for "hidden".

    Example: see `TeacherCacheWriter`.
    """

    samples: int
    tokens: int
    bytes_per_token: int
    tail_mass: float | None = None
    entropy_lost: float | None = None


@dataclass(frozen=True)
class CacheMeta:
    """Contents of meta.json; it has statistics once the cache is finished."""

    identity: CacheIdentity
    kind: CacheKind
    width: int
    vocabulary: int
    samples: int
    tokens: int
    scale: float = 1.0
    softcap: float | None = None
    # Caches of release 0.1 do not name it.
    dtype: CacheDtype = "float16"
    statistics: CacheStatistics | None = None

    @property
    def arrays(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Dtype and shape of the array in every .npy file."""
        shared = {"done": ("u1", (self.samples,)), "token_counts": ("i8", (self.samples,))}
        if self.kind == "hidden":
            return {**shared, "hidden": ("i2", (self.tokens, self.width))}
        return {
            **shared,
            "ids": ("i4", (self.tokens, self.width)),
            "log_p": (f"f{self._log_p_bytes}", (self.tokens, self.width + 1)),
            "lost": ("f8", (self.samples, 2)),
        }

    @property
    def token_arrays(self) -> tuple[str, ...]:
        """Names of the arrays that have a row for each token."""
        return ("hidden",) if self.kind == "hidden" else ("ids", "log_p")

    @property
    def terms(self) -> dict[str, object]:
        """Everything that has to be equal for two writers of one cache."""
        terms = asdict(self)
        del terms["statistics"]
        return {**terms.pop("identity"), **terms}

    @property
    def bytes_per_token(self) -> int:
        """Bytes on disk per token: 2 D, or 4 k + 2 (k + 1), or 4 k + 4 (k + 1) in float32."""
        return 2 * self.width if self.kind == "hidden" else 4 * self.width + self._log_p_bytes * (self.width + 1)

    @property
    def _log_p_bytes(self) -> int:
        return 4 if self.dtype == "float32" else 2

    def check_kind(self, kind: CacheKind) -> None:
        """Raise ValueError unless the cache is of this kind."""
        if self.kind != kind:
            raise ValueError(f"This needs a teacher cache of the kind {kind!r}. Found the kind {self.kind!r}.")


def has_meta(folder: Path) -> bool:
    """Return True if a cache's files have been created in a folder; meta.json is created last."""
    return (folder / META).is_file()


def known_model(folder: Path) -> str | None:
    """Return the identity of the teacher that a cache was written from, None where there is no cache.

    Raises:
        ValueError: As `read_meta`.
    """
    return read_meta(folder).identity.model if has_meta(folder) else None


def read_meta(folder: Path) -> CacheMeta:
    """Read meta.json.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is of another version or cannot be read.
    """
    if not has_meta(folder):
        raise FileNotFoundError(f"Parameter `folder` should hold a teacher cache. Found no {META} in {str(folder)!r}.")
    try:
        content = json.loads((folder / META).read_text())
        version = content.pop("version")
        if version == _VERSION:
            statistics = content.pop("statistics")
            return CacheMeta(
                identity=CacheIdentity(**content.pop("identity")),
                statistics=None if statistics is None else CacheStatistics(**statistics),
                **content,
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise broken_file(folder / META, error) from error
    raise ValueError(
        f"The teacher cache in {folder} should be of version {_VERSION}. Found version {version}. "
        "Read it with the release that wrote it, or delete the folder and write it again."
    )


def write_meta(folder: Path, meta: CacheMeta) -> None:
    """Write meta.json whole, and wait until it is on the disk."""
    with write_whole(folder / META) as part, part.open("w") as file:
        file.write(meta_text(meta))
        file.flush()
        os.fsync(file.fileno())


def meta_text(meta: CacheMeta) -> str:
    """Return the contents of meta.json."""
    content = {"version": _VERSION, **asdict(meta)}
    if meta.dtype == "float16":
        # Left out, as release 0.1 did, which can read the cache then.
        del content["dtype"]
    return json.dumps(content, indent=2)


def broken_file(path: Path, error: Exception) -> ValueError:
    """Build the error for a file of a cache that cannot be read."""
    reason = str(error).strip().partition("\n")[0]
    return ValueError(
        f"{path} should be a whole file of a teacher cache. It could not be read ({type(error).__name__}: {reason}). "
        "It may be cut off: copy it again, or delete the folder and write the cache again."
    )
