import pytest

from tests._processes import Rank
from tests.cluster._trainings import steps, train


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """What trainings without a fault write down."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in ("images", "language")}
    for rank in [Rank(train, (folder, kind)) for kind, folder in folders.items()]:
        rank.result()
    return {kind: steps(folder) for kind, folder in folders.items()}
