"""A configuration with conditions: read, checked, on the card, in the identity; and without them nothing is new."""

import json
from pathlib import Path

import pytest
import torch

from toolkit.bin.main import main
from toolkit.config import difference
from toolkit.data import kaldi
from toolkit.data.names import Names
from toolkit.data.voices import Voice
from toolkit.errors import ConfigError, DataError
from toolkit.tasks.borrowing import borrow_predictor
from toolkit.tasks.card import training_card
from toolkit.tasks.schema import System, as_saved, load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary

CONF = Path(__file__).parents[2] / "recipes" / "ljspeech" / "conf"
TINY = [
    "encoder_conf={embedding: 8, channels: 8, lstm: 8, dropout: 0.0}", "attention_conf={dim: 8, filters: 4, kernel_size: 5}",
    "decoder_conf={prenet: [8, 8], lstm: 8}", "postnet_conf={channels: 8, layers: 2}", "vocoder=griffin_lim",
]  # fmt: skip
STYLE = "conditioning.style={dim: 4, heads: 2, tokens: 3, channels: [2, 2], units: 4}"
ALL = ["conditioning.speaker.dim=4", "conditioning.language.dim=2", "conditioning.vector.dim=3", STYLE]


def tiny(*assignments: str) -> System:
    return load_system(CONF / "mini.yaml", [*TINY, *assignments])


def built(*assignments: str) -> Text2Mel:
    torch.manual_seed(0)
    tables = {"speaker": Names("speaker", ["anna", "ben"])} if "conditioning.speaker.dim=4" in assignments else None
    return Text2Mel(tiny(*assignments), Vocabulary.made_up(12), tables)


def test_without_conditions_a_predictor_is_what_it_was() -> None:
    task, asked = built(), built("conditioning.speaker.dim=4")
    assert not [name for name in task.state_dict() if "conditioning" in name] and task.tables == {}
    assert "model.conditioning.tables.speaker.weight" in asked.state_dict()
    identity = Text2Mel.identity(tiny())
    older = {key: value for key, value in identity.items() if key != "conditioning"}
    assert identity["conditioning"] is None and difference(older, identity) == []
    assert "conditioning" in difference(identity, Text2Mel.identity(tiny("conditioning.speaker.dim=4")))[0]
    batch = task.made_up_batch()
    assert batch.speaker is batch.language is batch.vector is None


@pytest.mark.parametrize("merge", ["concat", "add"])
@pytest.mark.parametrize("asked", [ALL[:1], ALL[1:2], ALL[2:3], ALL[3:], ALL])
def test_each_condition_learns(asked: list[str], merge: str) -> None:
    task = Text2Mel(tiny(*asked, f"conditioning.merge={merge}"), Vocabulary.made_up(12))
    losses = task.losses(task.made_up_batch(), "main")
    torch.stack(list(losses.values())).sum().backward()
    gradients = {name: p.grad for name, p in task.model.conditioning.named_parameters()}
    assert gradients or asked == ALL[2:3]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients.values()), gradients


def test_settings_survive_being_saved(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(as_saved(tiny(*ALL, "conditioning.merge=add")))
    assert load_system(tmp_path / "config.yaml").conditioning == tiny(*ALL, "conditioning.merge=add").conditioning


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("conditioning={}", "conditioning.speaker: missing, and so are language, vector and style; give one"),
        ("conditioning.speakr={}", "conditioning.speakr: no such key, got {}; did you mean 'speaker'?"),
        ("conditioning.speaker.dim=0", "conditioning.speaker.dim: must be at least 1, got 0"),
        ("conditioning.vector={}", "conditioning.vector.dim: missing, and it has no default"),
        ("conditioning={speaker: {}, merge: cat}", "conditioning.merge: how conditions meet the memory, got 'cat'; did you mean 'concat'?"),
        ("conditioning.style.heads=3", "conditioning.style.heads: must divide units = 256, got 3; nearest: "),
        ("conditioning.style.channels=[]", "conditioning.style.channels: of at least one convolution, each at least 1, got []"),
    ],
)
def test_mistakes_are_refused_by_path(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tiny(assignment)
    assert message in str(caught.value)


def test_a_decoder_that_reads_contexts_of_symbols_takes_none() -> None:
    with pytest.raises(ConfigError, match="conditioning: decoder 'linguistic' reads contexts of symbols alone; set it to null"):
        load_system(CONF / "paper_wavenet_linguistic.yaml", ["conditioning.speaker.dim=4"])


def test_check_tries_them_on_made_up_data(capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for assignment in [*TINY, *ALL] for word in ("--set", assignment)]
    assert main(["check", str(CONF / "mini.yaml"), *words]) == 0
    assert "mini.yaml fits" in capsys.readouterr().out


def test_the_card_has_a_row() -> None:
    before, after = ({row.name: row for row in training_card(tiny(*asked), "text2mel")} for asked in ([], ALL))
    assert "Conditioned on" not in before
    assert after["Conditioned on"].value == (
        "speaker (4 values), language (2 values), vector (3 values), style (4 values, 3 tokens, 2 heads); beside the memory"
    )
    assert after["Conditioned on"].source == "the paper does not say"
    assert "symbols and 8 speakers and 8 languages" in after["Parameters"].value


def test_a_voice_must_be_one_of_the_models() -> None:
    one, two = built(), built("conditioning.speaker.dim=4")
    assert one.conditions([Voice()]) == (None,) * 6
    with pytest.raises(ConfigError, match="speaker: this model is not conditioned on a speaker, got 'anna'; it is on: nothing"):
        one.conditions([Voice("anna")])
    with pytest.raises(ConfigError, match="reference: this model is not conditioned on a style; it is on: speaker"):
        two.conditions([Voice("anna", reference=torch.zeros(3, 80).numpy())])
    assert two.conditions([Voice("ben"), Voice("anna")]).speaker.tolist() == [1, 0]  # type: ignore[union-attr]


def test_without_a_reference_all_tokens_weigh_the_same() -> None:
    task = Text2Mel(tiny(STYLE), Vocabulary.made_up(12))
    style = task.conditions([Voice(), Voice(style=(1.0, 0.0, 2.0))]).style
    assert style is not None and torch.allclose(style, torch.tensor([[1 / 3] * 3, [1.0, 0.0, 2.0]]))


def test_a_borrowed_predictor_knows_the_same_speakers(tmp_path: Path) -> None:
    system, data, source = tiny("conditioning.speaker.dim=4"), tmp_path / "dump", tmp_path / "source"
    for folder in (data / "train", source / "text2mel" / "checkpoints", source / "gta"):
        folder.mkdir(parents=True)
    for name in ("tokens.txt", "features.json", "stats.npz"):
        (data / name).write_text(name)
        (source / name).write_text(name)
    (source / "text2mel" / "identity.json").write_text(json.dumps(Text2Mel.identity(system)))
    (source / "gta" / "index.json").write_text("{}")
    (source / "speakers.txt").write_text("anna\nben\n")
    kaldi.write_speakers(data / "train", {"u1": "anna", "u2": "carl"})
    with pytest.raises(DataError, match="knows other speakers than the training set of .* has; train one of its own"):
        borrow_predictor(system, data, source, tmp_path / "new")
    kaldi.write_speakers(data / "train", {"u1": "anna", "u2": "ben"})
    borrow_predictor(system, data, source, tmp_path / "new")
    assert (tmp_path / "new" / "text2mel").is_symlink()
