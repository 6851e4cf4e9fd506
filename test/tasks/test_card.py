"""The training card: changing a setting changes exactly its rows."""

from pathlib import Path

import pytest

from toolkit.tasks.card import as_markdown, training_card
from toolkit.tasks.schema import load_system

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
    ("text2mel", "encoder_conf.dropout=0.4", {"Encoder"}),
    ("text2mel", "encoder_conf.lstm=256", {"Encoder", "Parameters"}),
    ("text2mel", "attention_conf.dim=64", {"Attention", "Parameters"}),
    ("text2mel", "attention=content", {"Attention"}),
    ("text2mel", "decoder_conf.zoneout=0.2", {"Decoder"}),
    ("text2mel", "reduction=2", {"Frames a step", "Parameters"}),
    ("text2mel", "postnet_conf.dropout=0.1", {"Postnet"}),
    ("text2mel", "losses.stop.weight=2", {"Losses"}),
    ("text2mel", "losses.guided_attention.sigma=0.4", {"Losses"}),
    ("text2mel", "text2mel.batch.global=32", {"Batch"}),
    ("text2mel", "text2mel.batch.micro=8", {"Batch"}),
    ("text2mel", "text2mel.optimiser_conf.epsilon=1e-8", {"Optimiser"}),
    ("text2mel", "text2mel.optimiser_conf.learning_rate=2e-3", {"Learning rate"}),
    ("text2mel", "text2mel.optimiser_conf.l2=0", {"L2"}),
    ("text2mel", "text2mel.schedule_conf.start=40000", {"Learning rate"}),
    ("text2mel", "text2mel.clip=null", {"Gradient clipping"}),
    ("text2mel", "text2mel.average=0.99", {"Weight average"}),
    ("text2mel", "text2mel.keep_best=1", {"Best checkpoints averaged"}),
    ("text2mel", "text2mel.precision=bf16", {"Precision"}),
    ("text2mel", "text2mel.max_steps=1000", {"Length", "Learning rate"}),
    ("text2mel", "text2mel.save_every=5", {"Intervals"}),
    ("text2mel", "text2mel.threads=1", {"Threads"}),
    ("text2mel", "seed=2", {"Seed"}),
    ("text2mel", "vocoder_conf.layers=24", set()),
    ("mel2wav", "vocoder_conf.target_scale=1", {"Vocoder"}),
    ("mel2wav", "vocoder_conf.layers=24", {"Vocoder", "Parameters", "Context"}),
    ("mel2wav", "crops.frames=40", {"Crop"}),
    ("mel2wav", "crops.input=natural", {"Input"}),
    ("mel2wav", "mel2wav.batch.micro=8", {"Batch"}),
    ("mel2wav", "mel2wav.average=0.999", {"Weight average"}),
    ("mel2wav", "text2mel.clip=2", set()),
]


@pytest.mark.parametrize(("task", "assignment", "rows"), SETTINGS)
def test_a_setting_changes_exactly_its_rows(task: str, assignment: str, rows: set[str]) -> None:
    before = dict(training_card(load_system(PAPER), task))
    after = dict(training_card(load_system(PAPER, [assignment]), task))
    assert {name for name in before | after if before.get(name) != after.get(name)} == rows


def test_the_card_states_the_published_numbers() -> None:
    card = dict(training_card(load_system(PAPER), "text2mel", processes=4))
    assert card["Parameters"] == "28.15 M with 70 symbols"
    assert card["Batch"] == "64 utterances: 4 micro-batches of 16 shared by 4 processes"
    assert "0.001 at step 50000" in card["Learning rate"] and "0.0001 at step 100000" in card["Learning rate"]
    assert "1e-05 at step 200000" in card["Learning rate"]
    vocoder = dict(training_card(load_system(PAPER), "mel2wav", processes=32))
    assert vocoder["Batch"] == "128 utterances: 32 micro-batches of 4 shared by 32 processes"
    assert vocoder["Weight average"] == "exponential, decay 0.9999, used for synthesis"
    assert "target scale 127.5" in vocoder["Vocoder"]


def test_what_happened_becomes_rows_and_markdown_stays_a_table() -> None:
    rows = training_card(load_system(PAPER), "text2mel", happened={"steps_made": 12})
    text = as_markdown("text2mel", [*rows, ("Odd", "a|b")])
    assert "| Steps made | 12 |" in text and "| Odd | a/b |" in text
