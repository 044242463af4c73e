import pytest
import torch
from torch import nn

from lightning_abkd.language.teachers._cache_identity import model_identity
from lightning_abkd.language.teachers._whole_identity import WholeIdentity
from lightning_abkd.models import TeacherCache
from tests.language.teachers._teacher_caches import HIDDEN, fill, writer

ALL = torch.arange(4)


def begun(folder):
    made = writer(folder)
    made.write_hidden(torch.tensor([0]), HIDDEN[:2])
    return made


def test_the_identity_is_recorded_while_writing_and_stays(tmp_path):
    teacher, made = nn.Linear(2, 2), begun(tmp_path)
    whole = WholeIdentity(made, teacher)
    whole.record()
    assert made.checksums.model == whole.result() == model_identity(teacher)
    fill(tmp_path).close(whole.result())
    assert TeacherCache(tmp_path).identity.model == model_identity(teacher)


def test_another_teacher_does_not_continue(tmp_path):
    WholeIdentity(writer(tmp_path), nn.Linear(2, 2)).record()
    begun(tmp_path)
    with pytest.raises(ValueError, match="should be one to continue. Found `model = 'Linear .*Delete the folder"):
        WholeIdentity(writer(tmp_path), nn.Linear(2, 2))


def test_what_an_unknown_teacher_wrote_is_written_again(tmp_path):
    again = writer(begun(tmp_path).folder)
    assert again.pending(ALL).tolist() == [False, False, True, True]
    WholeIdentity(again, nn.Linear(2, 2))
    assert again.pending(ALL).tolist() == [True, False, True, True]


def test_a_cache_of_an_earlier_release_goes_on_as_it_was(tmp_path):
    begun(tmp_path)
    (tmp_path / "checksums.npy").unlink()
    again = writer(tmp_path)
    whole = WholeIdentity(again, nn.Linear(2, 2))
    whole.record()
    assert whole.result() is None
    assert again.pending(ALL).tolist() == [False, False, True, True]
