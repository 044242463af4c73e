from lightning_abkd._utils import digest


def test_digest_is_the_start_of_sha256():
    # sha256("abc"), FIPS 180-2, appendix B.1
    assert digest(b"a", b"bc") == "ba7816bf8f01cfea"
