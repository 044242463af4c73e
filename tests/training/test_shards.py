import pytest
import torch
from torch.distributed.checkpoint.state_dict_saver import save

from lightning_abkd.training._shards import read_shards


@pytest.mark.filterwarnings("ignore:.*assuming the intent is to save in a single process")
def test_lists_and_names_come_back(tmp_path):
    weights = {"student.0.weight": torch.arange(3.0), "student.count": torch.tensor(2)}
    optimizer = {
        "state": {"student.0.weight": {"momentum_buffer": torch.ones(3)}},
        "param_groups": [{"lr": 0.1 * i, "params": [f"student.{i}"]} for i in range(12)],
    }
    save({"state_dict": weights, "optimizer_0": optimizer}, checkpoint_id=tmp_path, no_dist=True)
    torch.save({"epoch": 3}, tmp_path / "meta.pt")
    read = read_shards(tmp_path)
    assert read["epoch"] == 3
    assert {name: value.tolist() for name, value in read["state_dict"].items()} == {
        "student.0.weight": [0, 1, 2],
        "student.count": 2,
    }
    (state,) = read["optimizer_states"]
    assert state["param_groups"] == optimizer["param_groups"]
    assert state["state"]["student.0.weight"]["momentum_buffer"].tolist() == [1, 1, 1]
