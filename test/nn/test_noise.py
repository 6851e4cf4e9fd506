"""Random draws are addressed: whatever block they are asked for in, they are the same."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.nn.noise import BLOCK_VALUES, Noise, seed_of


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 700), st.integers(1, 300), st.sampled_from([1, 3, 256]), st.booleans())
def test_a_draw_depends_on_its_position_only(start: int, count: int, width: int, shared: bool) -> None:
    def noise() -> Noise:
        return Noise.of_micro_batch(1, 2, 3) if shared else Noise.of_rows([4, 5])

    block = noise().uniform("a", start, count, 2, width)
    assert block.shape == (2, count, width)
    single = noise()
    for position in (start, start + count // 2, start + count - 1):
        assert torch.equal(single.uniform("a", position, 1, 2, width)[:, 0], block[:, position - start])


def test_a_rows_draws_do_not_depend_on_its_batch() -> None:
    both, alone = Noise.of_rows([7, 8]), Noise.of_rows([8])
    assert torch.equal(both.normal("x", 3, 500, 2, 100)[1:], alone.normal("x", 3, 500, 1, 100))


def test_names_laws_seeds_and_steps_are_different_streams() -> None:
    noise = Noise.of_rows([1])
    first = noise.uniform("a", 0, 1, 1, 50)
    others = [noise.uniform("b", 0, 1, 1, 50), noise.uniform("a", 1, 1, 1, 50), Noise.of_rows([2]).uniform("a", 0, 1, 1, 50)]
    assert not any(torch.equal(first, other) for other in others)
    assert not torch.equal(Noise.of_micro_batch(1, 1, 0).uniform("a", 0, 1, 2, 9), Noise.of_micro_batch(1, 1, 1).uniform("a", 0, 1, 2, 9))


def test_laws() -> None:
    noise = Noise.of_rows([3])
    uniform, normal = noise.uniform("u", 0, 4000, 1, 10), noise.normal("n", 0, 4000, 1, 10)
    assert 0 <= uniform.min() and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.01
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.02
    keep = noise.keep("k", 0, 4000, 1, 10, 0.25)
    assert keep.unique().tolist() == pytest.approx([0.0, 4 / 3]) and abs(keep.mean() - 1) < 0.02


def test_rows_must_match_streams() -> None:
    with pytest.raises(ValueError, match="2 streams, got 3 rows"):
        Noise.of_rows([1, 2]).uniform("a", 0, 1, 3, 1)


def test_seeds_are_the_same_on_every_machine() -> None:
    assert seed_of(1, "a", 2) == seed_of(1, "a", 2) != seed_of(1, "a", 3)
    assert seed_of(0, "x") == 2290777545969729397
    assert BLOCK_VALUES == 2**16  # part of what a seed means: changing it changes every draw
