"""Conditioning: widths, both merges, padding, gradients, and refusals."""

import pytest
import torch

from toolkit.errors import ConfigError
from toolkit.models.conditioning import Conditioning, ConditioningSettings, Conditions, Identity, Style, Vector

MASK = torch.tensor([[False, False, False, False], [False, False, True, True]])
STYLE = Style(dim=6, tokens=3, heads=2, channels=(2, 3), units=4)
ALL = {"speaker": Identity(3), "language": Identity(2), "vector": Vector(4), "style": STYLE}


def memory() -> torch.Tensor:
    return torch.randn(2, 4, 5).masked_fill(MASK[..., None], 0.0)


def conditions() -> Conditions:
    return Conditions(
        torch.tensor([1, 0]), torch.tensor([0, 2]), torch.randn(2, 4), torch.randn(2, 9, 7), torch.tensor([9, 5])
    )  # fmt: skip


def built(merge: str, **settings: object) -> Conditioning:
    torch.manual_seed(0)
    chosen = settings or ALL
    sizes = {kind: size for kind, size in (("speaker", 2), ("language", 3)) if kind in chosen}
    return Conditioning(5, ConditioningSettings(**chosen, merge=merge), 7, sizes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("merge", "width"), [("concat", 5 + 3 + 2 + 4 + 6), ("add", 5)])
def test_every_condition_reaches_the_memory_and_padding_stays_zero(merge: str, width: int) -> None:
    block, given = built(merge), conditions()
    x = memory()
    made = block(x, MASK, given)
    assert block.out_dim == width and made.shape == (2, 4, width) and not made[MASK].any()
    changes = {
        "speaker": torch.tensor([0, 0]), "language": torch.tensor([1, 2]), "vector": torch.randn(2, 4), "reference": torch.randn(2, 9, 7)
    }  # fmt: skip
    for name, value in changes.items():
        other = block.eval()(x, MASK, given._replace(**{name: value}))
        assert not torch.allclose(other[0, :3], block(x, MASK, given)[0, :3]), name
    block.train()(x, MASK, given).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())


def test_concatenation_repeats_the_vectors_at_every_symbol() -> None:
    block = built("concat", speaker=Identity(3), language=Identity(2))
    x, table = memory(), block.tables
    made = block(x, MASK, Conditions(torch.tensor([1, 0]), torch.tensor([2, 1])))
    assert torch.equal(made[..., :5], x)
    for symbol in range(2):
        assert torch.equal(made[0, symbol, 5:], torch.cat([table["speaker"].weight[1], table["language"].weight[2]]))
        assert torch.equal(made[1, symbol, 5:], torch.cat([table["speaker"].weight[0], table["language"].weight[1]]))


def test_addition_projects_the_vectors_to_the_memorys_width() -> None:
    block = built("add", speaker=Identity(3), vector=Vector(4))
    x, vector = memory(), torch.tensor([[3.0, 0.0, 4.0, 0.0], [0.0, 0.5, 0.0, 0.0]])
    made = block(x, MASK, Conditions(torch.tensor([1, 0]), vector=vector))
    own = block.projections["speaker"].weight @ block.tables["speaker"].weight[1]
    expected = x[0] + own + block.projections["vector"].weight @ torch.tensor([0.6, 0.0, 0.8, 0.0])  # made length 1
    torch.testing.assert_close(made[0], expected)
    assert not made[1, 2:].any()


def test_a_vector_may_be_left_as_it_is() -> None:
    block = Conditioning(5, ConditioningSettings(vector=Vector(4, normalise=False)))
    vector = torch.tensor([[3.0, 0.0, 4.0, 0.0], [0.0, 0.5, 0.0, 0.0]])
    assert torch.equal(block(memory(), MASK, Conditions(vector=vector))[0, 1, 5:], vector[0])


def test_style_weights_take_the_place_of_a_reference() -> None:
    block = built("concat", style=STYLE).eval()
    weights = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    made = block(memory(), MASK, Conditions(style=weights))
    assert torch.equal(made[0, 0, 5:], block.style.mix(weights)[0])


def test_without_settings_nothing_is_there_and_nothing_happens() -> None:
    block, x = Conditioning(5), memory()
    assert block(x, MASK, Conditions()) is x and block.out_dim == 5 and not list(block.state_dict())
    with pytest.raises(ConfigError, match="this model is not conditioned, got speaker, style; leave it out"):
        block(x, MASK, conditions()._replace(language=None, vector=None))


def test_what_is_missing_or_too_much_is_refused() -> None:
    block = built("concat", speaker=Identity(3), language=Identity(2))
    for given, said in ((Conditions(), "none"), (Conditions(torch.tensor([0, 0])), "speaker"), (conditions(), "speaker, language, vector")):
        with pytest.raises(ConfigError, match=f"this model is conditioned on speaker, language, got {said}"):
            block(memory(), MASK, given)
