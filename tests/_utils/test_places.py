import pytest

from lightning_abkd._utils import Links, leads_out


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "/x", "C:\\x", "\\x", "a\\..\\..\\x", "", "a\0b"])
def test_names_that_lead_out_are_known(name):
    assert leads_out(name)


@pytest.mark.parametrize("name", ["x", "a/b.png", "a..b", "...", "été/图 1.png", "a:b/c"])
def test_names_below_a_folder_are_known(name):
    assert not leads_out(name)


@pytest.fixture
def links(tmp_path):
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data-too").mkdir()
    for place in ("data/a/x", "data-too/x"):
        (tmp_path / place).touch()
    (tmp_path / "data" / "inside").symlink_to(tmp_path / "data" / "a")
    (tmp_path / "data" / "outside").symlink_to("../data-too")
    (tmp_path / "data" / "a" / "around").symlink_to("..")
    (tmp_path / "linked").symlink_to("data")
    return tmp_path


@pytest.mark.parametrize("root", ["data", "linked"])
def test_links_that_stay_are_followed_and_others_refused(links, root):
    folder = links / root
    Links(folder, follow=False).check_files([folder / "a" / "x", folder / "inside" / "x"])
    with pytest.raises(ValueError, match=r"hold its files itself. Found .*outside, .* set `follow_symlinks: true`"):
        Links(folder, follow=False).check_files([folder / "outside" / "x"])
    Links(folder, follow=True).check_files([folder / "outside" / "x"])


def test_a_link_around_itself_is_refused(links):
    with pytest.raises(ValueError, match="should have an end. Found .*around"):
        Links(links / "data", follow=True).check(links / "data" / "a" / "around")
