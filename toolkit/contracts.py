"""The contract tests of text, losses, discriminators, schedules, optimisers, readers, importers and scores; and those of any part.

As in ``toolkit.testing``, which runs them too, a promise that is broken is an AssertionError.
"""

from __future__ import annotations

import inspect
import math
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from toolkit.config import dump, read_part
from toolkit.data.batches import Counts
from toolkit.data.readers import Findings, Reader
from toolkit.decoders.base import Output, Targets
from toolkit.discriminators import Discriminator
from toolkit.errors import ToolkitError
from toolkit.evaluate.metrics import Metric, UtteranceAudio
from toolkit.infer.importing.base import Importer, Source
from toolkit.models.feature_predictor import Prediction
from toolkit.models.losses import Loss
from toolkit.registry import Part, Registry
from toolkit.text.base import G2P, Cleaner, Tokenizer
from toolkit.train.optimisers import Optimiser
from toolkit.train.schedules import Schedule

TEXTS = ("", " ", "hello world", "it's ten o'clock, isn't it?", "hello {HH AH0} world", "\u00fcber \u65e5\u672c -- 7!")


def check_settings(registry: Registry[Any], name: str) -> Part[Any]:
    """The defaults are what their annotations say and can be written to a configuration; the class has a docstring."""
    cls = registry.resolve(name)
    assert (cls.__doc__ or "").strip(), "a docstring, whose first line toolkit parts shows"
    part: Part[Any] = registry.part(name)
    missing = [knob for knob, value in part.knobs.items() if value is inspect.Parameter.empty]
    assert not missing, f"every setting has a default, {', '.join(missing)} has none"
    return read_part(registry, name, dump(part.knobs), f"{registry.kind}_conf")


def check_cleaner(part: Part[Cleaner]) -> None:
    """Never raises, text that is clean stays, inline phonemes pass."""
    cleaner = part.build()
    for text in TEXTS:
        assert isinstance(cleaner(text), str), f"the result is text, got {cleaner(text)!r}"
    assert cleaner("hello world") == "hello world", f"text that is clean stays, got {cleaner('hello world')!r}"
    assert "{HH AH0}" in cleaner("hello {HH AH0} world"), "inline phonemes pass"


def check_tokenizer(part: Part[Tokenizer]) -> None:
    """Symbols are words, pieces hold all of them, nothing is remembered, it travels to worker processes."""
    tokenizer = part.build()
    for text in ("", "hello world", "it's ten, isn't it?"):
        symbols = tokenizer.symbols(text)
        assert all(isinstance(symbol, str) and symbol for symbol in symbols), f"symbols are words, got {symbols!r}"
        assert [symbol for _, piece in tokenizer.pieces(text) for symbol in piece] == symbols, "pieces hold all symbols"
        assert tokenizer.symbols(text) == symbols, "a second call gives the same"
    assert len(set(tokenizer.inventory())) == len(tokenizer.inventory()), "no symbol stands twice in the inventory"
    pickle.dumps(tokenizer)


def check_g2p(part: Part[G2P]) -> None:
    """Pieces together are the text, phones are those of the inventory, inline phonemes are one piece."""
    g2p = part.build(dictionary="")
    phones = set(g2p.inventory())
    for text in TEXTS:
        pieces = g2p(text)
        assert "".join(piece for piece, _ in pieces) == text, f"pieces together are the text, got {pieces!r}"
        for piece, symbols in pieces:
            unknown = [symbol for symbol in symbols if symbol not in phones and symbol not in piece]
            assert not unknown, f"phones are those of the inventory, {piece!r} got {unknown[0] if unknown else ''!r}"
            assert not (piece.isspace() and symbols), "white space has no phones"
        assert g2p(text) == pieces, "a second call gives the same"
    assert "{HH AH0}" in [piece for piece, _ in g2p("hello {HH AH0} world")], "an inline block is one piece"
    assert any(symbols for _, symbols in g2p("hello")), "a word has phones"
    pickle.dumps(g2p)


def check_schedule(part: Part[Schedule]) -> None:
    """Factors are finite and not negative, and depend on the step alone."""
    schedule, steps = part.build(), (1, 2, 10, 500, 1000)
    factors = [schedule.factor(step, 1000) for step in steps]
    assert all(math.isfinite(factor) and factor >= 0 for factor in factors), f"factors are finite and not negative, got {factors}"
    assert [schedule.factor(step, 1000) for step in reversed(steps)] == factors[::-1], "a factor depends on the step alone"


def check_optimiser(part: Part[Optimiser]) -> None:
    """A few updates lower a loss; every weight is moved; the state can be saved."""
    optimiser, layer = part.build(), nn.Linear(3, 2)
    assert optimiser.learning_rate > 0, f"learning_rate is above 0, got {optimiser.learning_rate}"
    built, losses = optimiser.build(layer.named_parameters()), []
    before = [parameter.detach().clone() for parameter in layer.parameters()]
    for _ in range(20):
        built.zero_grad()
        loss = (layer(torch.eye(3)) - 5).square().sum()
        loss.backward()
        built.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0], f"updates lower a loss, got {losses[0]:.3g} -> {losses[-1]:.3g}"
    moved = zip(layer.named_parameters(), before, strict=True)
    assert not [name for (name, now), old in moved if torch.equal(now, old)], "every weight is moved"
    built.load_state_dict(built.state_dict())


def check_loss(part: Part[Loss]) -> None:
    """A finite scalar with a gradient; what stands in padding does not count."""
    term, masked = part.build(), torch.arange(6)[None, :, None] >= torch.tensor([6, 4])[:, None, None]
    true, made, logits = torch.randn(2, 6, 5), torch.randn(2, 6, 5).requires_grad_(), torch.randn(2, 6).requires_grad_()
    alignment = torch.rand(2, 6, 4).requires_grad_()

    def value(padding: float) -> torch.Tensor:
        mel = made.masked_fill(masked, padding)
        output = Output(mel, torch.tensor([6, 4]), logits.masked_fill(masked[..., 0], padding), alignment, extra={"unmasked": mel})
        return term(Prediction(output, mel), Targets(true, torch.tensor([6, 4])), torch.tensor([4, 3]), Counts(2, 10, 100))

    assert math.isfinite(term.weight), f"weight is a number, got {term.weight}"
    loss = value(0.0)
    assert loss.ndim == 0 and bool(loss.isfinite()), f"a finite scalar, got {loss}"
    assert torch.allclose(loss, value(3.0)), "what stands in padding does not count"
    given = torch.autograd.grad(loss, [made, logits, alignment], allow_unused=True)
    assert any(gradient is not None and bool(gradient.any()) for gradient in given), "a gradient reaches the prediction"


def check_metric(part: Part[Metric]) -> None:
    """Says what it is; a number or None; a copy is no worse than noise."""
    cls, rng = part.cls, np.random.default_rng(1)
    assert cls.title and cls.definition and cls.better in ("lower", "higher", "one"), "title, definition and better are stated"
    wave = (0.3 * np.sin(np.arange(16000) * 0.06) + 0.01 * rng.normal(size=16000)).astype(np.float32)
    noise = (0.1 * rng.normal(size=16000)).astype(np.float32)
    weights = np.eye(8, dtype=np.float32)
    reference, metric = UtteranceAudio(wave, 16000), part.build()
    scores = [metric(reference, UtteranceAudio(other, 16000, weights)) for other in (wave.copy(), noise)]
    if None not in scores:
        copy, other = [abs(float(score or 0) - 1) if cls.better == "one" else float(score or 0) for score in scores]
        better = copy >= other if cls.better == "higher" else copy <= other
        assert math.isfinite(copy) and better, f"a copy is no worse than noise, got {copy:.3g} and {other:.3g}"


def check_reader(part: Part[Reader]) -> None:
    """Says what its layout looks like; an empty folder is none of its corpora and holds no recordings, and that is no crash."""
    reader = part.build()
    assert reader.layout.strip(), "layout says in a few words what a corpus looks like"
    with tempfile.TemporaryDirectory() as folder:
        assert not reader.sees(Path(folder)), "an empty folder is none of its corpora"
        assert not list(reader.recordings(Path(folder), Findings())), "an empty folder holds no recordings"


def check_importer(part: Part[Importer]) -> None:
    """Says which side of a system it makes; a checkpoint without weights is refused, not crashed on."""
    importer = part.build()
    assert importer.task in ("text2mel", "mel2wav"), f"task is text2mel or mel2wav, got {importer.task!r}"
    try:
        importer.convert(Source({}, {}))
    except ToolkitError:
        return
    raise AssertionError("a checkpoint without weights is refused with a ToolkitError")


def check_discriminator(part: Part[Discriminator]) -> None:
    """Rows are judged by themselves, features come with scores, and gradients reach the wave and every parameter."""
    judge = part.build(sample_rate=8000).double().eval()
    wave = (torch.rand(2, 700, dtype=torch.float64) - 0.5).requires_grad_()
    judgements = judge(wave)
    assert judgements and judge.weight >= 0, f"at least one judgement and a weight, got {len(judgements)} and {judge.weight}"
    for judgement, alone in zip(judgements, judge(wave[1:]), strict=True):
        for value, own in zip([judgement.score, *judgement.features], [alone.score, *alone.features], strict=True):
            assert len(value) == 2, f"scores and features begin with B, got {tuple(value.shape)}"
            assert torch.allclose(value[1:], own), "a row is judged by itself"
    torch.stack([judgement.score.square().sum() for judgement in judgements]).sum().backward()  # type: ignore[no-untyped-call]
    assert wave.grad is not None and bool(wave.grad.any()), "a gradient reaches the wave"
    missing = [name for name, weight in judge.named_parameters() if weight.grad is None or not bool(weight.grad.isfinite().all())]
    assert not missing, f"gradient reaches {missing[0]}"


CHECKS: dict[type, Callable[[Part[Any]], None]] = {
    Cleaner: check_cleaner, Tokenizer: check_tokenizer, G2P: check_g2p, Schedule: check_schedule, Optimiser: check_optimiser,
    Loss: check_loss, Metric: check_metric, Discriminator: check_discriminator, Reader: check_reader,
    Importer: check_importer,
}  # fmt: skip
