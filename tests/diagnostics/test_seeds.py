import math

from lightning_abkd.diagnostics._seeds import ranked, summarize_seeds


def test_median_is_over_what_did_not_diverge():
    assert summarize_seeds([1.0, math.nan, 3.0, 8.0]) == (3.0, 1.0, 8.0, 4, 1)
    assert summarize_seeds([1.0]) == (1.0, 1.0, 1.0, 1, 0)
    assert math.isnan(summarize_seeds([math.nan]).median)


def test_best_is_the_highest_or_lowest_median_of_points_that_did_not_diverge():
    values = {(0.0, 0.0): [0.9, math.nan], (1.0, 0.0): [0.1, 0.8, 0.8], (0.0, 1.0): [0.7, 0.7, 0.7]}
    assert ranked(values, "max") == [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]
    assert ranked(values, "min") == [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)]
    assert ranked({(0.0, 0.0): [math.nan]}, "max") == []
