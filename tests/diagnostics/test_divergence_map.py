import math

import pytest
import torch

from lightning_abkd.diagnostics import _alpha_beta_plane, divergence_map, plot_divergence_map
from lightning_abkd.losses import AlphaBetaDivergence


def test_is_the_mean_of_the_loss_and_of_its_gradients_norm():
    student, teacher = torch.randn(2, 3, 8, requires_grad=True), torch.randn(2, 3, 8)
    mask = torch.tensor([[True, False, True], [False, False, True]])
    measured = divergence_map(student, teacher, [0.2, 1.0], [0.0, 0.7, 0.3], temperature=2.0, mask=mask)
    loss = AlphaBetaDivergence(0.2, 0.7, temperature=2.0)(student, teacher, mask)
    loss.backward()
    torch.testing.assert_close(measured.values[0, 1], loss.detach())
    # The loss is a mean of three, so is the gradient of each.
    torch.testing.assert_close(measured.gradient_norms[0, 1], student.grad.norm(dim=-1).sum())


def test_seven_by_seven_points_of_the_unit_square_are_the_default():
    measured = divergence_map(torch.randn(5), torch.randn(5))
    assert measured.alphas == measured.betas == pytest.approx([0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1])
    assert measured.values.shape == measured.gradient_norms.shape == (7, 7)


def test_no_counted_position_has_no_mean():
    mask = torch.zeros(2, dtype=torch.bool)
    assert divergence_map(torch.randn(2, 5), torch.randn(2, 5), mask=mask).values.isnan().all()


def test_mask_of_another_shape_is_an_error():
    with pytest.raises(ValueError, match=r"`mask` should have shape \(2,\)"):
        divergence_map(torch.randn(2, 5), torch.randn(2, 5), mask=torch.ones(2, 5, dtype=torch.bool))


def test_picture_is_drawn_with_infinite_points(tmp_path):
    student, teacher = torch.randn(4, 5), torch.randn(4, 5)
    teacher[0, 0] = -torch.inf
    measured = divergence_map(student, teacher, [0.0, 1.0], [0.0, 0.5])
    assert measured.values[0, 0] == math.inf
    picture = plot_divergence_map(measured, tmp_path / "new" / "map.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_title_says_temperature_and_batch():
    measured = divergence_map(torch.randn(2, 3, 5), torch.randn(2, 3, 5), temperature=4.0)
    assert measured.batch == "T = 4, 6 positions of 5 classes"


def drawn(monkeypatch, alphas, **options):
    figures = []
    monkeypatch.setattr(_alpha_beta_plane.Figure, "save", lambda figure, output: figures.append(figure))
    measured = divergence_map(torch.randn(2, 5), torch.randn(2, 5), alphas, [0.0, 0.5])
    plot_divergence_map(measured, "map.png", **options)
    return figures[0]


def test_wide_maps_stand_below_each_other(monkeypatch):
    assert drawn(monkeypatch, [0.0, 1.0]).grid.shape == (1, 2)
    assert drawn(monkeypatch, [number / 6 for number in range(7)]).grid.shape == (2, 1)


def test_picture_names_the_library_and_the_batch(monkeypatch):
    page = drawn(monkeypatch, [0.0, 1.0], title="digits").page
    assert page.get_suptitle() == "lightning_abkd: digits, T = 1, 2 positions of 5 classes"
