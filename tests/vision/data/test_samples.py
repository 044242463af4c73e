import torch

from lightning_abkd.vision.data._samples import Samples, long_tail, noisy_labels, stratified_split

LABELS = torch.arange(100) % 10


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_split_parts_the_samples() -> None:
    chosen, others = stratified_split(LABELS, 30, seeded())
    assert len(chosen) == 30
    assert torch.equal(torch.cat([chosen, others]).sort().values, torch.arange(100))


def test_split_keeps_the_shares_of_the_classes() -> None:
    chosen, _ = stratified_split(LABELS, 30, seeded())
    assert LABELS[chosen].bincount().tolist() == [3] * 10


def test_split_of_an_uneven_size_is_exact_and_off_by_at_most_one_per_class() -> None:
    chosen, _ = stratified_split(LABELS, 37, seeded())
    counts = LABELS[chosen].bincount(minlength=10)
    assert counts.sum() == 37
    assert counts.min() == 3
    assert counts.max() == 4


def test_every_sample_has_the_same_chance() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    counts = torch.zeros(4)
    for seed in range(400):
        counts[stratified_split(labels, 2, seeded(seed))[0]] += 1
    # Expected 200 each; the standard deviation of a count is sqrt(400 / 4) = 10.
    assert (counts - 200).abs().max() < 40


def test_split_takes_none_and_all() -> None:
    assert [len(part) for part in stratified_split(LABELS, 0, seeded())] == [0, 100]
    assert [len(part) for part in stratified_split(LABELS, 100, seeded())] == [100, 0]


def test_split_follows_the_generator() -> None:
    first, again, other = (stratified_split(LABELS, 30, seeded(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_noise_changes_the_asked_share_and_stays_in_range() -> None:
    noisy = noisy_labels(LABELS, 0.3, 10, seeded())
    assert (noisy != LABELS).sum() == 30
    assert noisy.min() >= 0
    assert noisy.max() <= 9


def test_all_labels_can_be_wrong() -> None:
    assert (noisy_labels(LABELS, 1.0, 10, seeded()) != LABELS).all()


def test_noise_leaves_its_input_alone() -> None:
    labels = LABELS.clone()
    noisy_labels(labels, 1.0, 10, seeded())
    assert torch.equal(labels, LABELS)


def test_samples_take_their_own_labels_and_tell_their_position() -> None:
    stored = [(torch.tensor(float(i)), 0) for i in range(5)]
    samples = Samples(stored, torch.tensor([3, 1]), torch.tensor([7, 8]), torch.neg, return_index=True)
    assert list(map(samples.__getitem__, range(len(samples)))) == [(-3, 7, 3), (-1, 8, 1)]


def test_strong_view_stands_beside_the_weak_one() -> None:
    samples = Samples([(3, 0)], torch.tensor([0]), torch.tensor([7]), torch.tensor, strong=lambda x: torch.tensor(-x))
    assert samples[0] == ((3, -3), 7)


def test_tail_shrinks_by_the_ratio_and_keeps_one_of_each_class() -> None:
    counts = LABELS[long_tail(LABELS, 100.0, 10, seeded())].bincount(minlength=10)
    # 10 · 100^(-c/9), rounded, and at least 1.
    assert counts.tolist() == [10, 6, 4, 2, 1, 1, 1, 1, 1, 1]


def test_tail_keeps_all_of_a_class_that_is_smaller_already() -> None:
    labels = torch.tensor([0] * 8 + [1] + [2] * 8)
    assert labels[long_tail(labels, 4.0, 3, seeded())].bincount().tolist() == [8, 1, 2]


def test_tail_follows_the_generator_and_ascends() -> None:
    first, again, other = (long_tail(LABELS, 5.0, 10, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first, first.sort().values)
