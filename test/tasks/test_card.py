"""The training card: changing a setting changes exactly its rows, and each row says where the paper has it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from toolkit.tasks.card import Row, as_markdown, differing, training_card
from toolkit.tasks.card_lines import Line, card_lines
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.published import PUBLISHED
from toolkit.tasks.schema import load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary

PAPER = Path(__file__).parents[2] / "recipes" / "ljspeech" / "conf" / "paper.yaml"

SETTINGS = [
    ("text2mel", "features.sample_rate=24000", {"Audio", "Features"}),
    ("text2mel", "features.f_min=80", {"Features"}),
    ("text2mel", "features.log_base='10'", {"Features"}),
    ("text2mel", "level=0.5", {"Audio"}),
    ("text2mel", "trim.threshold_db=-50", {"Audio"}),
    ("text2mel", "limits.max_seconds=12", {"Audio"}),
    ("text2mel", "extras=[f0]", {"Audio"}),
    ("text2mel", "normalise=per_bin", {"Normalisation"}),
    ("text2mel", "tokenizer=phone", {"Text"}),
    ("text2mel", "cleaner=basic", {"Text"}),
    ("text2mel", "encoder_conf.dropout=0.4", {"Encoder", "Regularisation"}),
    ("text2mel", "encoder_conf.zoneout=0", {"Encoder", "Regularisation"}),
    ("text2mel", "encoder_conf.norm=after", {"Encoder"}),
    ("text2mel", "encoder_conf.lstm=256", {"Encoder", "Parameters", "Regularisation"}),
    ("text2mel", "attention_conf.dim=64", {"Attention", "Parameters", "Regularisation"}),
    ("text2mel", "attention=content", {"Attention", "Regularisation", "Parameters"}),
    ("text2mel", "decoder_conf.zoneout=0.2", {"Decoder", "Regularisation"}),
    ("text2mel", "reduction=2", {"Frames a step", "Parameters", "Regularisation"}),
    ("text2mel", "postnet_conf.dropout=0.1", {"Postnet", "Regularisation"}),
    ("text2mel", "losses.stop.weight=2", {"Losses"}),
    ("text2mel", "losses.mse.mask_padding=false", {"Losses"}),
    ("text2mel", "losses.guided_attention.sigma=0.4", {"Losses"}),
    ("text2mel", "text2mel.batch.global=32", {"Batch", "Steps"}),
    ("text2mel", "text2mel.batch.micro=8", {"Batch"}),
    ("text2mel", "text2mel.optimiser_conf.epsilon=1e-8", {"Optimiser"}),
    ("text2mel", "text2mel.optimiser_conf.learning_rate=2e-3", {"Learning rate"}),
    ("text2mel", "text2mel.optimiser_conf.l2=0", {"Regularisation"}),
    ("text2mel", "text2mel.optimiser_conf.l2_excludes=[]", {"Regularisation"}),
    ("text2mel", "text2mel.schedule_conf.start=40000", {"Learning rate"}),
    ("text2mel", "text2mel.clip=null", {"Gradient clipping"}),
    ("text2mel", "text2mel.average=0.99", {"Weight average"}),
    ("text2mel", "text2mel.keep_best=1", {"Best checkpoints averaged"}),
    ("text2mel", "text2mel.precision=bf16", {"Precision"}),
    ("text2mel", "text2mel.max_steps=1000", {"Steps", "Learning rate"}),
    ("text2mel", "text2mel.max_minutes=20", {"Steps"}),
    ("text2mel", "text2mel.patience=5", {"Steps"}),
    ("text2mel", "text2mel.freeze=[encoder]", {"Frozen", "Regularisation"}),
    ("text2mel", "text2mel.schedule=noam", {"Learning rate"}),
    ("text2mel", "text2mel.schedule=step", {"Learning rate"}),
    ("text2mel", "losses.attention_entropy.weight=0.1", {"Losses"}),
    ("text2mel", "teacher_forcing.end=0.7", {"Teacher forcing"}),
    ("text2mel", "gradual_reduction.frames=[9, 5]", {"Gradual reduction", "Parameters", "Regularisation"}),
    ("text2mel", "text2mel.save_every=5", {"Intervals"}),
    ("text2mel", "text2mel.threads=1", {"Threads"}),
    ("text2mel", "seed=2", {"Seed"}),
    ("text2mel", "vocoder_conf.layers=24", set()),
    ("mel2wav", "vocoder_conf.target_scale=1", {"Vocoder", "Target scaling"}),
    ("mel2wav", "vocoder_conf.layers=24", {"Vocoder", "Parameters", "Context"}),
    ("mel2wav", "crops.frames=40", {"Crop"}),
    ("mel2wav", "crops.input=natural", {"Input"}),
    ("mel2wav", "mel2wav.batch.micro=8", {"Batch"}),
    ("mel2wav", "mel2wav.average=0.999", {"Weight average"}),
    ("mel2wav", "text2mel.clip=2", set()),
]


def values(preset: Path, task: str, assignments: Sequence[str] = (), processes: int = 1) -> dict[str, str]:
    return {row.name: row.value for row in training_card(load_system(preset, assignments), task, processes)}


def card_lines_of(task: str) -> list[Line]:
    with torch.device("meta"):
        return card_lines(Text2Mel(load_system(PAPER), Vocabulary.made_up(5)) if task == "text2mel" else Mel2Wav(load_system(PAPER)), 1)


@pytest.mark.parametrize(("task", "assignment", "rows"), SETTINGS)
def test_a_setting_changes_exactly_its_rows(task: str, assignment: str, rows: set[str]) -> None:
    before = values(PAPER, task)
    after = values(PAPER, task, [assignment])
    assert {name for name in before | after if before.get(name) != after.get(name)} == rows


def test_the_card_states_the_published_numbers() -> None:
    card = values(PAPER, "text2mel", processes=4)
    assert card["Parameters"] == "26.06 M with 70 symbols"
    assert card["Batch"] == "64 utterances: 4 micro-batches of 16 shared by 4 processes"
    assert "0.001 at step 50000" in card["Learning rate"] and "0.0001 at step 100000" in card["Learning rate"]
    assert "1e-05 at step 150000" in card["Learning rate"]
    assert card["Learning rate"].count("0.001 at step 0,") == 1
    assert card["Regularisation"].startswith("L2 1e-06 as a gradient term before the moments, on 26 of 63 tensors")
    assert "zoneout 0.1 in encoder, decoder.first, decoder.second" in card["Regularisation"]
    assert "dropout 0.5 in encoder.convolutions (3), decoder.prenet, postnet.convolutions (5)" in card["Regularisation"]
    vocoder = values(PAPER, "mel2wav", processes=32)
    assert vocoder["Batch"] == "128 utterances: 32 micro-batches of 4 shared by 32 processes"
    assert vocoder["Weight average"].startswith("exponential, decay 0.9999, used for synthesis; it rises")
    assert "target scale 127.5" in vocoder["Vocoder"] and vocoder["Target scaling"].startswith("x 127.5; ")


def test_what_happened_becomes_rows_and_markdown_stays_a_table() -> None:
    rows = training_card(load_system(PAPER), "text2mel", happened={"steps_made": 12})
    text = as_markdown("text2mel", [*rows, Row("Odd", "a|b", "c")])
    assert "| Steps made | 12 |  |" in text and "| Odd | a/b | c |" in text


def test_what_happened_takes_the_place_of_what_was_planned() -> None:
    before, after = (training_card(load_system(PAPER), "text2mel", happened=h) for h in ({}, {"data": "9 h", "hardware": "1 x H"}))
    assert [row.name for row in before] == [row.name for row in after]
    assert [(row.name, row.value) for row in differing(after, before)] == [("Data", "9 h"), ("Hardware", "1 x H")]


def sources(*assignments: str, task: str = "text2mel", processes: int = 1, preset: Path = PAPER) -> dict[str, str]:
    return {row.name: row.source for row in training_card(load_system(preset, assignments), task, processes)}


def test_a_row_names_the_section_that_states_it() -> None:
    """Shen et al. 2018, arXiv 1712.05884."""
    here, vocoder = sources(), sources(task="mel2wav", processes=32)
    for name in ("Encoder", "Decoder", "Postnet", "Frames a step"):
        assert here[name] == "section 2.2"
    assert here["Attention"] == "section 2.2; the paper does not say: even start"
    assert here["Optimiser"] == vocoder["Optimiser"] == vocoder["Batch"] == vocoder["Target scaling"] == "section 3.1"
    assert here["Gradient clipping"] == here["Steps"] == vocoder["Crop"] == "the paper does not say"
    assert here["Learning rate"] == "section 3.1; the paper does not say: decay steps, warm up steps"
    assert "residual, gate, skip" in vocoder["Vocoder"] and "layers" not in vocoder["Vocoder"].replace("condition layers", "")


def test_at_24_khz_nothing_differs_but_the_corpus_and_the_micro_batch() -> None:
    """The preset of the published rate has every published number."""
    preset = PAPER.with_name("paper_24k.yaml")
    for task, processes, others in (("text2mel", 1, {"Data", "Batch"}), ("mel2wav", 32, {"Data"})):
        assert {name for name, source in sources(task=task, processes=processes, preset=preset).items() if "paper: " in source} == others


@pytest.mark.parametrize(
    ("task", "assignment", "row", "source"),
    [
        ("text2mel", "decoder_conf.zoneout=0.2", "Decoder", "section 2.2; paper: zoneout 0.1, section 2.2"),
        ("text2mel", "decoder_conf.wiring=nvidia", "Decoder", "section 2.2; paper: wiring paper, section 2.2"),
        (
            "text2mel",
            "text2mel.batch={global: 32, micro: 32}",
            "Batch",
            "section 3.1; paper: 64 utterances, section 3.1; paper: all 64 at once",
        ),
        ("text2mel", "text2mel.optimiser_conf.epsilon=1e-8", "Optimiser", "section 3.1; paper: epsilon 1e-06, section 3.1"),
        ("text2mel", "attention=content", "Attention", "paper: attention location_sensitive, section 2.2"),
        ("text2mel", "features.hop=128", "Features", "paper: hop 12.5 ms, section 2.2"),
        ("mel2wav", "vocoder_conf.target_scale=1", "Target scaling", "paper: target scale 127.5, section 3.1"),
        ("mel2wav", "vocoder_conf.layers=24", "Context", "paper: 6139 samples, section 3.3.4"),
        ("mel2wav", "mel2wav.average=null", "Weight average", "paper: moving average 0.9999, section 3.1"),
        ("mel2wav", "crops.input=natural", "Input", "paper: ground-truth-aligned predictions, section 3.1"),
    ],
)
def test_what_differs_is_said_with_the_published_value(task: str, assignment: str, row: str, source: str) -> None:
    extra = ["vocoder_conf.scales=[8, 16]"] if "hop" in assignment else []
    assert source in sources(assignment, *extra, task=task)[row]


def test_every_statement_is_about_a_setting_that_exists() -> None:
    """A published value whose path is misspelt would be compared with nothing."""
    rows = [row for task in ("text2mel", "mel2wav") for row in card_lines_of(task)]
    shown = {path for line in rows for path in line.paths}
    for path in PUBLISHED:
        assert any(path == known or (known.endswith(".") and path.startswith(known)) for known in shown), path


def test_signal_processing_has_no_training_on_its_card() -> None:
    names = list(values(PAPER.with_name("paper_tacotron1.yaml"), "mel2wav"))
    assert "Vocoder" in names and "Optimiser" not in names
