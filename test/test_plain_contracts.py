"""Registered parts that are no networks keep their kind's contract, and broken ones are caught."""

from typing import Any

import pytest
import torch

from toolkit.contracts import check_settings
from toolkit.data.readers import READERS
from toolkit.errors import ConfigError, ToolkitError
from toolkit.evaluate.metrics import METRICS, Metric
from toolkit.infer.importing import IMPORTERS
from toolkit.models.losses import LOSSES, Loss
from toolkit.registry import Part, Registry
from toolkit.testing import check
from toolkit.text.base import CLEANERS, G2P, G2PS, TOKENIZERS, Cleaner, Tokenizer
from toolkit.text.cleaners import EnglishCleaner
from toolkit.text.pronunciation import find_dictionary
from toolkit.text.tokenizers import CharTokenizer
from toolkit.train.optimisers import OPTIMISERS, Optimiser
from toolkit.train.schedules import SCHEDULES, Schedule

NEED_FILES = {("tokenizer", "bpe")}  # which the defaults do not name
KINDS = (CLEANERS, TOKENIZERS, G2PS, SCHEDULES, OPTIMISERS, LOSSES, METRICS, READERS, IMPORTERS)
PARTS = [
    pytest.param(kind, name, id=f"{kind.kind}-{name}") for kind in KINDS for name in kind.names() if (kind.kind, name) not in NEED_FILES
]


@pytest.mark.parametrize(("registry", "name"), PARTS)
def test_a_part_keeps_its_contract(registry: Registry[Any], name: str) -> None:
    if name in ("phone", "english") and registry is not CLEANERS:
        try:
            find_dictionary("")
        except ToolkitError as error:
            pytest.skip(str(error))
    assert check_settings(registry, name).name == name
    check(registry.part(name))


class Raising(EnglishCleaner):
    def __call__(self, text: str) -> str:
        return super().__call__(text) if text.isascii() else None  # type: ignore[return-value]


class Shouting(Cleaner):
    def __call__(self, text: str) -> str:
        return text.upper()


class Forgetting(CharTokenizer):
    def pieces(self, text: str) -> list[tuple[str, list[str]]]:
        return super().pieces(text)[1:]


class Tied(CharTokenizer):
    def __init__(self) -> None:
        self.work = lambda: None  # cannot be sent to another process


class Spelling(G2P):
    def __call__(self, text: str) -> list[tuple[str, list[str]]]:
        return [(letter, [] if letter.isspace() else [letter]) for letter in text]

    def inventory(self) -> list[str]:
        return ["A"]


class Dropping(Spelling):
    def __call__(self, text: str) -> list[tuple[str, list[str]]]:
        return super().__call__(text.strip())


class Inventing(Spelling):
    def __call__(self, text: str) -> list[tuple[str, list[str]]]:
        return [(text, ["ZZ"])]


class Counting(Schedule):
    calls = 0

    def factor(self, step: int, max_steps: int) -> float:
        self.calls += 1
        return float(self.calls)


class Climbing(Optimiser):
    learning_rate = 0.1

    def build(self, parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD([weight for _, weight in parameters], lr=0.1, maximize=True)


class Partial(Optimiser):
    learning_rate = 0.1

    def build(self, parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD([next(iter(parameters))[1]], lr=0.01)


class SeesPadding(Loss):
    weight = 1.0

    def __call__(self, prediction: Any, targets: Any, token_lengths: Any, counts: Any) -> torch.Tensor:
        return prediction.mel.square().sum()


class Detached(Loss):
    weight = 1.0

    def __call__(self, prediction: Any, targets: Any, token_lengths: Any, counts: Any) -> torch.Tensor:
        return targets.mel.sum() + 0 * prediction.output.weights.sum()


class Backwards(Metric):
    title, definition, better = "Distance", "Mean absolute difference.", "higher"

    def __call__(self, reference: Any, candidate: Any) -> float:
        return float(abs(reference.wave - candidate.wave).mean())


@pytest.mark.parametrize(
    ("cls", "promise"),
    [
        (Raising, "the result is text"), (Shouting, "text that is clean stays"), (Forgetting, "pieces hold all symbols"),
        (Dropping, "pieces together are the text"), (Inventing, "phones are those of the inventory"),
        (Spelling, "an inline block is one piece"),
        (Counting, "depends on the step alone"), (Climbing, "updates lower a loss"), (Partial, "every weight is moved"),
        (SeesPadding, "in padding does not count"), (Detached, "a gradient reaches"), (Backwards, "no worse than noise"),
    ],
)  # fmt: skip
def test_a_broken_part_is_caught(cls: type, promise: str) -> None:
    with pytest.raises(AssertionError, match=promise):
        check(Part("broken", cls))


def test_a_tokenizer_that_cannot_travel_is_caught() -> None:
    with pytest.raises((AttributeError, TypeError), match="pickle|local"):
        check(Part("tied", Tied))


def test_settings_are_what_their_annotations_say(monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry[Tokenizer] = Registry("try", Tokenizer)
    monkeypatch.delitem(Registry.kinds, "try")

    @registry.register("wrong")
    class Wrong(CharTokenizer):
        """Wrong."""

        def __init__(self, *, width: int = 2.5) -> None:  # type: ignore[assignment]
            pass

    @registry.register("open")
    class Open(CharTokenizer):
        """Open."""

        def __init__(self, *, width: int) -> None:
            pass

    with pytest.raises(ConfigError, match=r"try_conf\.width: .*, got 2\.5"):
        check_settings(registry, "wrong")
    with pytest.raises(AssertionError, match="every setting has a default, width has none"):
        check_settings(registry, "open")
