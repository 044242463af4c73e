from types import SimpleNamespace
from typing import cast

import pytest

from lightning_abkd.language._store import Store
from lightning_abkd.language.teachers import TeacherFromCache

STORED = cast(TeacherFromCache, SimpleNamespace(cache=SimpleNamespace(folder="runs/cache")))


def test_what_was_stored_for_one_fit_is_left_by_the_next():
    for_one, for_all = Store(STORED, is_for_one_fit=True), Store(STORED)
    for store in (for_one, for_all):
        store.begin_fit(is_missed=False)
    assert (for_one.teacher, for_all.teacher) == (None, STORED)


def test_what_is_missed_is_named():
    Store(STORED).begin_fit(is_missed=True)
    with pytest.raises(ValueError, match="Found none: it left .* `CachedTeacher\\('runs/cache'\\)` again"):
        Store(STORED, is_for_one_fit=True).begin_fit(is_missed=True)
