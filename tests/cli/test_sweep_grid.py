from lightning_abkd.cli._sweep_grid import Dimension, Grid, Point, shown

LOSS = Dimension("model.divergence", "divergence", ("JensenShannon", "lightning_abkd.losses.DKD"))
RATE = Dimension("model.divergence.temperature", "temperature", ("1", "4.0"))
GRID = Grid((RATE, LOSS), (0, 3))
POINT = Point(("4.0", "lightning_abkd.losses.DKD"), 3)


def test_seeds_of_a_point_stand_beside_each_other():
    assert len(GRID.points()) == 8
    assert GRID.points()[:2] == [Point(("1", "JensenShannon"), 0), Point(("1", "JensenShannon"), 3)]


def test_a_class_is_set_before_its_arguments():
    assert GRID.options(POINT) == [
        "--model.divergence=lightning_abkd.losses.DKD",
        "--model.divergence.temperature=4.0",
        "--seed_everything=3",
    ]


def test_a_point_has_a_name_and_a_folder():
    assert GRID.label(POINT) == "temperature = 4, divergence = lightning_abkd.losses.DKD, seed 3"
    place, seed = GRID.folder(POINT).split("/")
    assert place.startswith("temperature_4_divergence_DKD_")
    assert seed == "seed_3"


def test_folders_of_different_values_differ():
    dimension = Dimension("x", "x", ("[1, 2]", "[1; 2]", "a/b", "a b", "0.1234561", "0.1234562"))
    grid = Grid((dimension,), (0,))
    folders = {grid.folder(point) for point in grid.points()}
    assert len(folders) == 6
    assert not [folder for folder in folders if folder.count("/") != 1]


def test_every_value_that_may_be_wrong_is_in_the_samples():
    values = {value for point in GRID.samples() for value in point.values}
    assert values == {"1", "4.0", "JensenShannon", "lightning_abkd.losses.DKD"}
    plane = Grid((Dimension("a", "α", ("0", "1")), Dimension("b", "β", ("0", "1"))), (0,))
    assert len(list(plane.samples())) == 1


def test_numbers_are_shown_without_idle_zeros():
    assert [shown(value) for value in ("1.0", "0.50", "1e-5", "null", "0.12345678")] == [
        "1", "0.5", "1e-05", "null", "0.12345678",
    ]  # fmt: skip
