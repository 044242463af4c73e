import pytest
import torch

from lightning_abkd.models import causal_lm, causal_lm_from_config, keep_layers

GPT2 = {"n_layer": 3, "n_embd": 8, "n_head": 2, "vocab_size": 16, "n_positions": 32}
LLAMA = {
    "num_hidden_layers": 3, "hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "vocab_size": 16,
}  # fmt: skip
IDS = torch.arange(10).reshape(1, 10)


@pytest.mark.float32
@pytest.mark.parametrize(("name", "options"), [("gpt2", GPT2), ("llama", LLAMA)])
def test_student_runs_the_chosen_layers(name, options):
    teacher = causal_lm_from_config(name, options).eval()
    whole, student = keep_layers(teacher, [0, 1, 2]).eval(), keep_layers(teacher, [0, 2]).eval()
    torch.testing.assert_close(whole(IDS).logits, teacher(IDS).logits)
    assert student.config.num_hidden_layers == 2
    assert sum(p.numel() for p in student.parameters()) < sum(p.numel() for p in teacher.parameters())
    assert student.generate(IDS, max_new_tokens=3, do_sample=False, pad_token_id=0).shape == (1, 13)


@pytest.mark.parametrize(("name", "options"), [("gpt2", GPT2), ("llama", LLAMA)])
def test_student_loads_again_from_its_folder(tmp_path, name, options):
    student = keep_layers(causal_lm_from_config(name, options), [2, 0]).eval()
    student.save_pretrained(tmp_path)
    torch.testing.assert_close(causal_lm(str(tmp_path)).eval()(IDS).logits, student(IDS).logits)


def test_keeping_layers_leaves_the_teacher_alone():
    teacher = causal_lm_from_config("gpt2", GPT2)
    student = keep_layers(teacher.requires_grad_(False), [1])
    assert len(teacher.transformer.h) == 3
    assert all(parameter.requires_grad for parameter in student.parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dtype_of_a_student_is_its_own(dtype):
    teacher = causal_lm_from_config("llama", LLAMA).bfloat16()
    student = keep_layers(teacher, [0, 2], dtype)
    assert {parameter.dtype for parameter in student.parameters()} == {getattr(torch, dtype)}
    torch.testing.assert_close(student.model.norm.weight, teacher.model.norm.weight.to(getattr(torch, dtype)))
    assert teacher.dtype == torch.bfloat16


def test_tied_head_of_a_student_stays_tied():
    teacher = causal_lm_from_config("llama", LLAMA | {"tie_word_embeddings": True}).bfloat16()
    student = keep_layers(teacher, [1])
    assert student.lm_head.weight is student.model.embed_tokens.weight
    assert student.lm_head.weight is not teacher.lm_head.weight


def test_a_layer_chosen_twice_is_two_layers():
    student = keep_layers(causal_lm_from_config("gpt2", GPT2), [1, 1])
    first, second = student.transformer.h
    torch.testing.assert_close(first.mlp.c_fc.weight, second.mlp.c_fc.weight)
    assert first.mlp.c_fc.weight is not second.mlp.c_fc.weight
    assert [first.attn.layer_idx, second.attn.layer_idx] == [0, 1]


def test_layers_that_go_are_never_copied(monkeypatch):
    teacher, copied = causal_lm_from_config("gpt2", GPT2), []
    layer = type(teacher.transformer.h[0])
    monkeypatch.setattr(layer, "__deepcopy__", lambda self, memo: copied.append(self) or self, raising=False)
    keep_layers(teacher, [2])
    assert copied == [teacher.transformer.h[2]]


def test_quantized_layers_do_not_train():
    teacher = causal_lm_from_config("gpt2", GPT2)
    teacher.is_quantized = True
    with pytest.raises(ValueError, match="should have trainable weights. Found quantized ones"):
        keep_layers(teacher, [0])


@pytest.mark.parametrize("layers", [[], [3], [-1]])
def test_layers_outside_the_teacher_are_an_error(layers):
    with pytest.raises(ValueError, match="should hold indices from 0 to 2"):
        keep_layers(causal_lm_from_config("gpt2", GPT2), layers)
