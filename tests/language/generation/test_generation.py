import pytest
import torch

from lightning_abkd.data import byte_tokenizer
from lightning_abkd.language.generation._generation import (
    Special,
    answered,
    prompts_of,
    respond,
    special_of,
    with_responses,
)
from lightning_abkd.modules import Responder, Sampling
from tests.language._text import network

SPECIAL = Special(end=1, padding=0)
GREEDY = Sampling(max_new_tokens=4, temperature=0.0)
PROMPTS = [torch.tensor([5, 6, 7]), torch.tensor([9]), torch.tensor([8, 8])]


def batch():
    return {
        "input_ids": torch.tensor([[5, 6, 7, 8, 1], [9, 4, 1, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
        "labels": torch.tensor([[-100, -100, 7, 8, 1], [-100, 4, 1, -100, -100]]),
    }


def test_prompts_are_what_stands_before_the_labels():
    assert [prompt.tolist() for prompt in prompts_of(batch())] == [[5, 6], [9]]
    unlabelled = {name: value for name, value in batch().items() if name != "labels"}
    assert [prompt.tolist() for prompt in prompts_of(unlabelled)] == [[5, 6, 7, 8, 1], [9, 4, 1]]


def test_greedy_responses_together_are_those_alone():
    net = network(0)
    together = respond(net, PROMPTS, GREEDY, SPECIAL)
    alone = [respond(net, [prompt], GREEDY, SPECIAL)[0] for prompt in PROMPTS]
    assert [row.tolist() for row in together] == [row.tolist() for row in alone]
    ids = PROMPTS[0].tolist()
    for _ in range(4):
        ids.append(int(net.eval()(torch.tensor([ids])).logits[0, -1].argmax()))
    assert together[0].tolist() == ids[3:]


def test_responses_end_with_the_end_of_text():
    net = network(0)
    first = respond(net, PROMPTS[:1], GREEDY, SPECIAL)[0]
    ended = respond(net, PROMPTS[:1], GREEDY, Special(end=int(first[1]), padding=0))[0]
    assert ended.tolist() == first[: first.tolist().index(int(first[1])) + 1].tolist()


def test_seeds_decide_and_leave_the_random_state_alone():
    net, sampling = network(0), Sampling(max_new_tokens=8)
    state = torch.get_rng_state()
    draws = [respond(net, PROMPTS, sampling, SPECIAL, seed)[0].tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert torch.equal(state, torch.get_rng_state())


def test_padding_ids_are_never_drawn():
    net = network(0)
    special = Special(end=None, padding=0, vocabulary=3)
    assert respond(net, PROMPTS, Sampling(max_new_tokens=20), special, 0)[0].max() < 3


def test_the_networks_own_settings_have_no_say():
    net = network(0)
    expected = respond(net, PROMPTS, GREEDY, SPECIAL)[0].tolist()
    net.generation_config.do_sample, net.generation_config.temperature = True, 9.0
    net.generation_config.repetition_penalty = 5.0
    assert respond(net, PROMPTS, GREEDY, SPECIAL)[0].tolist() == expected


def test_mode_of_the_network_is_kept():
    net = network(0).train()
    respond(net, PROMPTS, GREEDY, SPECIAL)
    assert net.training


def test_responses_fit_the_positions_of_the_network():
    net = network(0, n_positions=5)
    assert len(respond(net, [PROMPTS[0]], Sampling(max_new_tokens=50), Special(None, 0))[0]) == 2
    with pytest.raises(ValueError, match="shorter than the 5 positions of GPT2LMHeadModel. Found 6 tokens"):
        respond(net, [torch.arange(6)], GREEDY, SPECIAL)


def test_an_empty_prompt_begins_with_the_end_of_text():
    empty = torch.zeros(0, dtype=torch.long)
    assert len(respond(network(0), [empty], Sampling(3, temperature=0.0), Special(1, 0))[0]) > 0
    with pytest.raises(ValueError, match="a tokenizer with an end-of-text token"):
        respond(network(0), [empty], GREEDY, Special(None, 0))


def test_answered_batch_has_labels_on_the_responses_alone():
    made = answered(
        [torch.tensor([5, 6]), torch.tensor([9])], [torch.tensor([7, 1]), torch.tensor([4, 4, 1])], padding=0
    )
    assert made["input_ids"].tolist() == [[5, 6, 7, 1], [9, 4, 4, 1]]
    assert made["labels"].tolist() == [[-100, -100, 7, 1], [-100, 4, 4, 1]]
    short = answered([torch.tensor([5])], [torch.tensor([], dtype=torch.long)], padding=0)
    assert short["labels"].tolist() == [[-100]]


def test_a_batch_without_any_response_stays_and_that_is_said(monkeypatch):
    nothing = [torch.zeros(0, dtype=torch.long)] * 2
    monkeypatch.setattr("lightning_abkd.language.generation._generation.respond", lambda *_: nothing)
    with pytest.warns(UserWarning, match="responded nothing to any prompt"):
        assert with_responses(network(0), given := batch(), GREEDY, SPECIAL, 0) is given


def test_packed_batches_are_refused():
    with pytest.raises(ValueError, match="Set `packing: false`"):
        prompts_of(batch() | {"position_ids": torch.zeros(2, 5)})


def test_special_ids_come_from_tokenizer_or_configuration():
    assert special_of(byte_tokenizer(), network(0)) == Special(1, 0)
    assert special_of(None, network(0), 7) == Special(1, 1, 7)


def test_answering_leaves_out_what_is_done_and_does_not_depend_on_it():
    net, given = network(0), batch() | {"index": torch.tensor([4, 5])}
    first = Responder(sampling=GREEDY).respond(net, None, given, SPECIAL)
    second = Responder(sampling=GREEDY, done={4}).respond(net, None, given, SPECIAL)
    assert (first.samples, second.samples) == ([4, 5], [5])
    assert first.ids[1].tolist() == second.ids[0].tolist()
    assert Responder(done={4, 5}).respond(net, None, given, SPECIAL).samples == []


def test_a_missing_teacher_is_named():
    with pytest.raises(ValueError, match="The teacher should respond. Found none"):
        Responder("teacher").respond(network(0), None, batch(), SPECIAL)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "`max_new_tokens` should be at least 1"),
        ({"temperature": -1.0}, "`temperature` should be finite and at least 0"),
        ({"top_p": 0.0}, r"`top_p` should lie in \(0, 1\]"),
        ({"no_repeat_ngram_size": -1}, "`no_repeat_ngram_size` should be at least 0"),
    ],
)
def test_bad_numbers_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**options)
