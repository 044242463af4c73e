import numpy as np
import pytest
import torch

from lightning_abkd.losses import OutputHead
from lightning_abkd.models import CacheIdentity, TeacherCache
from tests.language.teachers._teacher_caches import HIDDEN, IDENTITY, LOGITS, D, K, V, fill, writer

ALL = torch.arange(4)


def test_a_killed_writer_is_continued(tmp_path):
    writer(tmp_path).write_hidden(torch.tensor([3, 0]), HIDDEN[[5, 0, 1]])
    again = writer(tmp_path)
    assert again.pending(ALL).tolist() == [False, False, True, False]
    assert not again.complete
    again.write_hidden(torch.tensor([2]), HIDDEN[2:5])
    again.close()
    assert torch.equal(TeacherCache(tmp_path).hidden(ALL), HIDDEN.bfloat16())


def test_a_sample_is_marked_after_its_data_reached_the_disk(tmp_path, monkeypatch):
    made, order = writer(tmp_path, "top_k"), []
    monkeypatch.setattr(np.memmap, "flush", lambda array: order.append((array.filename.stem, made.pending(ALL).any())))
    made.write_top_k(ALL, LOGITS)
    assert order == [("ids", True), ("log_p", True), ("lost", True), ("done", False)]


@pytest.mark.parametrize("kind", ["hidden", "top_k"])
def test_a_torn_write_is_written_again(tmp_path, kind):
    fill(tmp_path, kind)
    # data of sample 2 in part, its mark missing
    for name, torn in {"done": 2, ("hidden" if kind == "hidden" else "ids"): 3}.items():
        np.load(tmp_path / f"{name}.npy", mmap_mode="r+")[torn] = 0
    assert writer(tmp_path, kind).pending(ALL).tolist() == [False, False, True, False]
    statistics = fill(tmp_path, kind).close()
    assert statistics == fill(tmp_path / "whole", kind).close()
    for path in (tmp_path / "whole").glob("*.npy"):
        np.testing.assert_array_equal(np.load(path), np.load(tmp_path / path.name))


def test_samples_that_are_done_stay_as_they_are(tmp_path):
    fill(tmp_path).write_hidden(torch.tensor([0]), torch.zeros(2, D))
    fill(tmp_path).close()
    assert torch.equal(TeacherCache(tmp_path).hidden(ALL), HIDDEN.bfloat16())


def test_a_sample_may_come_twice_in_a_batch(tmp_path):
    made = writer(tmp_path, "top_k")
    made.write_top_k(torch.tensor([0, 3, 0]), LOGITS[[0, 1, 5, 0, 1]])
    made.write_top_k(torch.tensor([2]), LOGITS[2:5])
    assert made.close() == fill(tmp_path / "once", "top_k").close()


def test_a_finished_cache_has_nothing_pending(tmp_path):
    statistics = fill(tmp_path).close()
    assert writer(tmp_path).complete
    assert writer(tmp_path).close() == statistics


def test_closing_early_leaves_the_cache_unfinished(tmp_path):
    made = writer(tmp_path)
    made.write_hidden(torch.tensor([0]), HIDDEN[:2])
    assert (made.close().samples, made.close().tokens) == (2, 2)
    with pytest.raises(ValueError, match="Found 2 of 4 samples done"):
        TeacherCache(tmp_path)


def test_top_k_says_what_it_loses(tmp_path):
    p = LOGITS.double().softmax(-1)
    kept, rest = p.topk(K).values, p.sort().values[:, : V - K]
    buckets = torch.cat((kept, rest.sum(-1, keepdim=True)), -1)
    lost = torch.special.entr(p).sum(-1) - torch.special.entr(buckets).sum(-1)
    statistics = fill(tmp_path, "top_k").close()
    assert (statistics.samples, statistics.tokens) == (4, 6)
    assert statistics.tail_mass == pytest.approx(rest.sum(-1).mean().item(), rel=1e-5)
    assert statistics.entropy_lost == pytest.approx(lost.mean().item(), rel=1e-5)
    assert TeacherCache(tmp_path).statistics == statistics


@pytest.mark.parametrize("part", ["model", "tokenizer", "data"])
def test_another_identity_is_refused_by_part(tmp_path, part):
    fill(tmp_path)
    parts = vars(IDENTITY) | {part: "another"}
    with pytest.raises(ValueError, match=rf"Found `{part} = '.*'`, expected 'another'\. Delete the folder or name"):
        writer(tmp_path, identity=CacheIdentity(**parts))


def test_other_contents_are_refused(tmp_path):
    fill(tmp_path, "top_k")
    with pytest.raises(ValueError, match="Found `kind = 'top_k'`, expected 'hidden'"):
        writer(tmp_path)
    with pytest.raises(ValueError, match="Found `width = 3`, expected 2"):
        writer(tmp_path, "top_k", width=2)
    with pytest.raises(ValueError, match="Found other `token_counts`"):
        writer(tmp_path, "top_k", counts=[0, 2, 3, 1])


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"kind": "logits"}, "`kind = 'logits'`"),
        ({"counts": [0, 0]}, "`token_counts` should hold numbers >= 0"),
        ({"counts": [2, -1]}, "`token_counts` should hold numbers >= 0"),
        ({"head": None}, r"weight of shape \(11, 4\). Found None"),
        ({"head": OutputHead(torch.ones(V, D + 1))}, r"Found \(11, 5\)"),
        ({"kind": "top_k", "head": OutputHead(torch.ones(V, D))}, "`head` should be None"),
        ({"kind": "top_k", "width": V}, "`width = 11`"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(tmp_path, options, found):
    with pytest.raises(ValueError, match=found):
        writer(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_batches_that_do_not_fit_are_refused(tmp_path):
    made = writer(tmp_path)
    with pytest.raises(ValueError, match="needs a teacher cache of the kind 'top_k'"):
        made.write_top_k(ALL, LOGITS)
    with pytest.raises(ValueError, match=r"should have the shape \(5, 4\), a row for each.*Found \(6, 4\)"):
        made.write_hidden(torch.tensor([0, 2]), HIDDEN)
    with pytest.raises(ValueError, match="positions from 0 to 3"):
        made.pending(torch.tensor([4]))


def test_nothing_is_written_of_outputs_that_overflowed(tmp_path):
    hidden, top_k = writer(tmp_path / "hidden"), writer(tmp_path / "top_k", "top_k")
    with pytest.raises(ValueError, match="Found inf or nan. Change the teacher's precision"):
        hidden.write_hidden(ALL, HIDDEN / 0.0)
    with pytest.raises(ValueError, match="Found inf or nan. Change the teacher's precision"):
        top_k.write_top_k(ALL, torch.full_like(LOGITS, torch.inf))
    assert hidden.pending(ALL[2:]).all()
    assert top_k.pending(ALL[2:]).all()


def test_classes_that_cannot_be_are_stored_exactly(tmp_path):
    logits = LOGITS.index_fill(1, torch.arange(2, V), -torch.inf)
    made = writer(tmp_path, "top_k")
    made.write_top_k(ALL, logits)
    assert made.close().tail_mass == 0.0
    _, log_p = TeacherCache(tmp_path).top_k(ALL)
    # Two of eleven classes are left, so that the third of three and the rest have no probability.
    assert torch.equal(log_p.isinf(), torch.tensor([[False, False, True, True]]).expand(6, 4))
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(6))


@pytest.mark.parametrize(("dtype", "errors", "size"), [("float16", (1e-4, 2.0**-11), 20), ("float32", (0.0, 1e-6), 28)])
def test_rounding_is_that_of_the_dtype(tmp_path, dtype, errors, size):
    made = writer(tmp_path, "top_k", dtype=dtype)
    made.write_top_k(ALL, LOGITS)
    assert made.close().bytes_per_token == size
    expected = LOGITS.log_softmax(-1).topk(K).values
    stored = torch.from_numpy(made._arrays["log_p"][:, :K].astype("float64"))
    found = ((stored - expected) / expected).abs().max()
    assert errors[0] <= found <= errors[1]
