import pytest
import torch

from lightning_abkd.language.generation._respond import batch_of, prompts_of, respond, with_responses
from lightning_abkd.language.generation._sampling import Sampling, SpecialIds
from tests.language._text import network

SPECIAL = SpecialIds(end=1, padding=0)
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


def test_prompts_have_the_length_that_a_batch_says():
    lengths = torch.tensor([4, 2])
    assert [prompt.tolist() for prompt in prompts_of(batch() | {"prompt_length": lengths})] == [[5, 6, 7, 8], [9, 4]]


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
    ended = respond(net, PROMPTS[:1], GREEDY, SpecialIds(end=int(first[1]), padding=0))[0]
    assert ended.tolist() == first[: first.tolist().index(int(first[1])) + 1].tolist()


def test_seeds_decide_and_leave_the_random_state_alone():
    net, sampling = network(0), Sampling(max_new_tokens=8)
    state = torch.get_rng_state()
    draws = [respond(net, PROMPTS, sampling, SPECIAL, seed)[0].tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert torch.equal(state, torch.get_rng_state())


def test_padding_ids_are_never_drawn():
    net = network(0)
    special = SpecialIds(end=None, padding=0, vocabulary=3)
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
    assert len(respond(net, [PROMPTS[0]], Sampling(max_new_tokens=50), SpecialIds(None, 0))[0]) == 2
    with pytest.raises(ValueError, match="shorter than the 5 positions of GPT2LMHeadModel. Found 6 tokens"):
        respond(net, [torch.arange(6)], GREEDY, SPECIAL)


def test_an_empty_prompt_begins_with_the_end_of_text():
    empty = torch.zeros(0, dtype=torch.long)
    assert len(respond(network(0), [empty], Sampling(3, temperature=0.0), SpecialIds(1, 0))[0]) > 0
    with pytest.raises(ValueError, match="a tokenizer with an end-of-text token"):
        respond(network(0), [empty], GREEDY, SpecialIds(None, 0))


def test_batch_of_responses_has_labels_on_the_responses_alone():
    made = batch_of(
        [torch.tensor([5, 6]), torch.tensor([9])], [torch.tensor([7, 1]), torch.tensor([4, 4, 1])], padding=0
    )
    assert made["input_ids"].tolist() == [[5, 6, 7, 1], [9, 4, 4, 1]]
    assert made["labels"].tolist() == [[-100, -100, 7, 1], [-100, 4, 4, 1]]
    short = batch_of([torch.tensor([5])], [torch.tensor([], dtype=torch.long)], padding=0)
    assert short["labels"].tolist() == [[-100]]


def test_a_batch_without_any_response_stays_with_a_warning(monkeypatch):
    nothing = [torch.zeros(0, dtype=torch.long)] * 2
    monkeypatch.setattr("lightning_abkd.language.generation._respond.respond", lambda *_: nothing)
    with pytest.warns(UserWarning, match="All responses of the student to a batch are empty"):
        assert with_responses(network(0), given := batch(), GREEDY, SPECIAL, 0) is given


def test_packed_batches_are_refused():
    with pytest.raises(ValueError, match="Set `packing: false`"):
        prompts_of(batch() | {"position_ids": torch.zeros(2, 5)})
