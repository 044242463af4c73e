import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader

from lightning_abkd import functional
from lightning_abkd.losses import ForwardKL, compare_with_head, head_loss
from lightning_abkd.models import TeacherCache, top_k_buckets
from tests.language.teachers._teacher_caches import (
    COUNTS,
    HEAD,
    HIDDEN,
    IDENTITY,
    LOGITS,
    D,
    K,
    V,
    fill,
    normal,
    writer,
)

ALL = torch.arange(4)


def finished(folder, kind="hidden"):
    fill(folder, kind).close()
    return TeacherCache(folder)


def cut_off(path, size=1):
    path.write_bytes(path.read_bytes()[:-size])


def test_hidden_states_come_back_rounded_to_bfloat16(tmp_path):
    cache = finished(tmp_path)
    assert torch.equal(cache.hidden(ALL), HIDDEN.bfloat16())
    assert torch.equal(cache.hidden(torch.tensor([2, 0])), HIDDEN[[2, 3, 4, 0, 1]].bfloat16())


def test_head_comes_back_as_it_was(tmp_path):
    head = finished(tmp_path).head()
    assert torch.equal(head.weight, HEAD.weight)
    assert torch.equal(head.bias, HEAD.bias)
    assert (head.scale, head.softcap) == (HEAD.scale, HEAD.softcap)


def test_logits_are_the_teachers_up_to_bfloat16(tmp_path):
    cache = finished(tmp_path)
    # |Δ(h W)| <= 2^-8 Σ |h| |W| (8 significant bits), then the scale; the soft-cap shrinks it.
    bound = HEAD.scale * 2**-8 * (HIDDEN.abs() @ HEAD.weight.abs().T)
    assert ((cache.head().logits(cache.hidden(ALL)) - HEAD.logits(HIDDEN)).abs() <= bound).all()


def test_a_head_keeps_its_dtype_and_may_lack_a_bias(tmp_path):
    head = replace(HEAD, weight=HEAD.weight.bfloat16(), bias=None)
    made = writer(tmp_path, head=head)
    made.write_hidden(ALL, HIDDEN)
    made.close()
    assert torch.equal(TeacherCache(tmp_path).head().weight, head.weight)
    assert TeacherCache(tmp_path).head().bias is None


def test_largest_classes_come_back_with_the_rest(tmp_path):
    ids, log_p = finished(tmp_path, "top_k").top_k(ALL)
    assert torch.equal(ids, LOGITS.topk(K).indices)
    torch.testing.assert_close(log_p, top_k_buckets(LOGITS, ids).float(), rtol=2**-10, atol=1e-3)
    torch.testing.assert_close(log_p.logsumexp(-1), torch.zeros_like(log_p[:, 0]), rtol=0, atol=1e-6)


def test_float16_costs_next_to_no_divergence(tmp_path):
    ids, log_p = finished(tmp_path, "top_k").top_k(ALL)
    exact = top_k_buckets(LOGITS.double(), ids)
    # ½ E[(2^-11 log p)²] with E[(log p)²] <= (log V)²
    assert functional.forward_kl(exact, log_p.double()).max() < 0.5 * (2**-11 * torch.tensor(V).log()) ** 2


def test_a_student_trains_from_either_kind(tmp_path):
    hidden, top_k = finished(tmp_path / "hidden"), finished(tmp_path / "top_k", "top_k")
    student = normal(6, D, seed=5).requires_grad_()
    exact = head_loss(student, HEAD, None, compare_with_head(hidden.hidden(ALL).float(), hidden.head()), ForwardKL())
    ids, log_p = top_k.top_k(ALL)
    buckets = head_loss(student, HEAD, None, lambda z, rows: (top_k_buckets(z, ids[rows]), log_p[rows]), ForwardKL())
    for result in (exact, buckets):
        result.loss.backward()
    assert student.grad.isfinite().all()


def test_description_is_what_was_written(tmp_path):
    cache = finished(tmp_path, "top_k")
    assert (cache.kind, cache.width, cache.vocabulary, cache.identity) == ("top_k", K, V, IDENTITY)
    assert cache.token_counts.tolist() == COUNTS


@pytest.mark.parametrize(("kind", "expected"), [("hidden", 2 * D), ("top_k", 6 * K + 2)])
def test_bytes_per_token_are_those_on_disk(tmp_path, kind, expected):
    cache = finished(tmp_path, kind)
    names = ["hidden"] if kind == "hidden" else ["ids", "log_p"]
    # numpy's header has 128 bytes
    on_disk = sum((tmp_path / f"{name}.npy").stat().st_size - 128 for name in names)
    assert cache.bytes_per_token == expected == on_disk / sum(COUNTS)


def test_no_samples_and_samples_without_tokens_give_no_rows(tmp_path):
    cache = finished(tmp_path)
    assert cache.hidden(torch.tensor([1])).shape == cache.hidden(ALL[:0]).shape == (0, D)


def test_the_cache_of_another_run_is_refused_by_part(tmp_path):
    cache = finished(tmp_path)
    cache.check(IDENTITY.model, IDENTITY.tokenizer, IDENTITY.data)
    cache.check()
    with pytest.raises(ValueError, match=r"Found `data = 'tasks 77cd'`, expected 'others'\. Write another"):
        cache.check(tokenizer=IDENTITY.tokenizer, data="others")


def test_a_missing_cache_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="should hold a teacher cache. Found no meta.json"):
        TeacherCache(tmp_path / "nowhere")


def test_an_unfinished_cache_is_refused(tmp_path):
    writer(tmp_path).write_hidden(torch.tensor([0, 3]), HIDDEN[:3])
    with pytest.raises(ValueError, match=r"Found 3 of 4 samples done\. Run the writing command again"):
        TeacherCache(tmp_path)


@pytest.mark.parametrize("name", ["hidden.npy", "done.npy", "token_counts.npy", "head.safetensors", "meta.json"])
def test_a_truncated_file_is_refused(tmp_path, name):
    finished(tmp_path)
    cut_off(tmp_path / name)
    with pytest.raises(ValueError, match=f"{name} should be a whole file of a teacher cache"):
        TeacherCache(tmp_path)


def test_a_missing_file_is_refused(tmp_path):
    finished(tmp_path, "top_k")
    (tmp_path / "log_p.npy").unlink()
    with pytest.raises(ValueError, match=r"log_p.npy should be a whole file"):
        TeacherCache(tmp_path)


def test_the_other_kind_is_refused(tmp_path):
    hidden, top_k = finished(tmp_path / "hidden"), finished(tmp_path / "top_k", "top_k")
    with pytest.raises(ValueError, match="needs a teacher cache of the kind 'top_k'. Found the kind 'hidden'"):
        hidden.top_k(ALL)
    for read in (top_k.head, lambda: top_k.hidden(ALL)):
        with pytest.raises(ValueError, match="Found the kind 'top_k'"):
            read()


def test_a_pickle_holds_no_contents(tmp_path):
    cache = finished(tmp_path)
    assert len(pickle.dumps(cache)) < 1000
    assert torch.equal(pickle.loads(pickle.dumps(cache)).hidden(ALL), cache.hidden(ALL))


def test_threads_and_loader_workers_read_the_same(tmp_path):
    cache = finished(tmp_path)
    alone = [cache.hidden(torch.tensor([i])) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        threads = list(pool.map(lambda i: cache.hidden(torch.tensor([i])), range(4)))
    loader = DataLoader(range(4), 1, num_workers=2, collate_fn=lambda i: cache.hidden(torch.tensor(i)).float())
    for first, second, third in zip(alone, threads, loader, strict=True):
        assert torch.equal(first, second)
        assert torch.equal(first.float(), third)
