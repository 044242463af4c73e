from lightning_abkd.training._log_once import LogOnce


def test_a_message_is_logged_once(monkeypatch):
    logged = []
    monkeypatch.setattr("lightning_abkd.training._log_once.rank_zero_info", logged.append)
    log_once = LogOnce()
    for message in ("a", "b", "a"):
        log_once(message)
    assert logged == ["a", "b"]
