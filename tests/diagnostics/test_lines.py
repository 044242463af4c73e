from lightning_abkd.diagnostics._lines import hidden, looks, medians


def test_many_lines_differ_without_their_colour():
    styles = looks([str(number) for number in range(40)])
    assert len({(look.dashes, look.marker) for look in styles.values()}) == 40


def test_markers_of_two_lines_are_at_different_places():
    first, second = looks(["a", "b"]).values()
    assert set(first.places(30)).isdisjoint(second.places(30))
    assert first.places(1) == [0]


def test_medians_are_over_the_epochs_that_all_runs_have():
    assert medians([[1.0, 2.0, 3.0], [2.0, 9.0], [7.0, 4.0]]) == [2.0, 4.0]


def test_lines_of_different_lengths_do_not_hide_each_other():
    assert hidden({"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]}) == []
    assert hidden({}) == []
