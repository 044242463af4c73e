from lightning_abkd.diagnostics.doctor._memory import memory_of
from lightning_abkd.diagnostics.doctor._step import Record
from tests.diagnostics.doctor._patients import patient


def test_logits_count_where_a_tensor_of_their_size_is_kept():
    examined = patient()
    record = Record(examined, optimizer=40)
    assert "logits" not in memory_of(examined, record).text
    # 96 samples, three classes, four bytes, three tensors.
    record.kept.sizes[1] = 96 * 3 * 4
    found = memory_of(examined, record).text
    assert found.endswith("optimizer 40 B, activations 1.2 kB, logits 3.5 kB")
