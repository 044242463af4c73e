import pytest

from lightning_abkd.training import killed_worker, lost_rank


@pytest.mark.parametrize(
    "said",
    [
        "DataLoader worker (pid 12) is killed by signal: Killed. ",
        "DataLoader worker (pid(s) 12, 13) exited unexpectedly",
    ],
)
def test_a_killed_worker_is_known(said):
    found = killed_worker(RuntimeError(said), " after batch 3")
    assert found is not None
    assert found.startswith("A worker of the data loader (process 12")
    assert "was killed after batch 3, mostly because memory ran out." in found


@pytest.mark.parametrize(
    "said",
    [
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:545] Read error: Connection reset by peer",
        "[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 3000ms for recv operation to complete",
        "NCCL communicator was aborted on rank 1",
        "ProcessGroupNCCL watchdog caught collective operation timeout",
    ],
)
def test_a_lost_rank_is_known(said):
    assert "Another process of this run is gone" in str(lost_rank(RuntimeError(said)))


@pytest.mark.parametrize(
    "error", [RuntimeError("Connection reset by peer"), ValueError("gloo Broken pipe"), KeyError()]
)
def test_other_errors_are_left_alone(error):
    assert killed_worker(error) is None
    assert lost_rank(error) is None
