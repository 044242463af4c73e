from lightning_abkd._utils import three_digits


def test_numbers_have_three_digits():
    numbers = {0.98765: "0.988", 12.0: "12.0", 123.4: "123", 0.0: "0.00", 1e-5: "1.00e-05"}
    assert {value: three_digits(value) for value in numbers} == numbers
