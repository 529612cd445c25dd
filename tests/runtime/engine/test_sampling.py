import pytest
import torch

from modelservice_runtime.engine.sampling import Sampling, choose_tokens, make_generator

pytestmark = pytest.mark.torch


def draw(logits: torch.Tensor, sampling: Sampling, count: int) -> list[int]:
    generator = make_generator(sampling)
    return [choose_tokens(logits[None], [(sampling, generator)])[0] for _ in range(count)]


def test_greedy_takes_the_largest_when_temperature_is_zero() -> None:
    assert draw(torch.tensor([0.1, 3.0, 2.9]), Sampling(), 5) == [1] * 5


def test_same_seed_gives_the_same_tokens_whatever_shares_the_batch() -> None:
    torch.manual_seed(0)
    logits = torch.randn(500)
    sampling = Sampling(temperature=1.0, top_p=0.9, seed=7)
    alone = draw(logits, sampling, 20)
    generator, noise = make_generator(sampling), Sampling(temperature=1.5, seed=99)
    other = make_generator(noise)
    shared = [
        choose_tokens(torch.stack([torch.randn(500), logits]), [(noise, other), (sampling, generator)])[1]
        for _ in range(20)
    ]
    assert alone == shared
    assert alone != draw(logits, Sampling(temperature=1.0, top_p=0.9, seed=8), 20)


def test_frequencies_follow_the_softmax_when_nothing_is_cut() -> None:
    logits = torch.log(torch.tensor([0.6, 0.3, 0.1]))
    drawn = draw(logits, Sampling(temperature=1.0, seed=1), 4000)
    assert [drawn.count(token) / 4000 for token in range(3)] == pytest.approx([0.6, 0.3, 0.1], abs=0.03)


def test_only_the_nucleus_is_drawn_when_top_p_cuts() -> None:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    assert set(draw(logits, Sampling(temperature=1.0, top_p=0.75, seed=1), 300)) == {0, 1}


def test_only_the_first_are_drawn_when_top_k_cuts() -> None:
    assert set(draw(torch.zeros(50) + torch.arange(50) * 0.01, Sampling(temperature=1.0, top_k=2, seed=1), 200)) == {
        48,
        49,
    }


def test_nucleus_is_complete_when_it_is_wider_than_the_partial_sort() -> None:
    drawn = draw(torch.zeros(4096), Sampling(temperature=1.0, top_p=0.99, seed=1), 300)
    assert len(set(drawn)) > 200


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, top_p=5e-324, seed=1),
        Sampling(temperature=5e-324, seed=1),
        Sampling(temperature=1e-30, top_p=0.5, top_k=3, seed=1),
    ],
)
def test_likeliest_token_is_taken_when_a_parameter_is_as_small_as_can_be(sampling: Sampling) -> None:
    assert draw(torch.tensor([0.1, 2.9, 30.0, float("-inf")]), sampling, 5) == [2] * 5
