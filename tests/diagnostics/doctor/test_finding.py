from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red


def test_only_red_is_red():
    found = [green("a", "b"), red("a", "b", "c"), not_checked("a", "b")]
    assert [finding.is_red for finding in found] == [False, True, False]


def test_a_red_finding_has_its_cure():
    assert red("pad", "Pad counted.", "Mask it.") == Finding("pad", "red", "Pad counted.", "Mask it.")
