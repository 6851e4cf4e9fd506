"""The report of whole, half-done and hostile experiments."""

import html.parser
import json
from pathlib import Path

import numpy as np
import pytest

from toolkit.audio import wave
from toolkit.data import kaldi
from toolkit.errors import ConfigError, DataError
from toolkit.evaluate.evaluation import evaluate
from toolkit.evaluate.judge import choose_judge
from toolkit.evaluate.markdown import to_html
from toolkit.evaluate.material import SYSTEMS, read_experiment
from toolkit.evaluate.page import flac
from toolkit.evaluate.report import write_report
from toolkit.evaluate.scoring import Scores, score

pytest.importorskip("matplotlib")
RATE, HOP = 16000, 200
NASTY = 'a "quoted" <script>alert(1)</script> & text'


class Page(html.parser.HTMLParser):
    """Collects elements, and checks that every element is closed in order."""

    EMPTY = ("meta", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def experiment(folder: Path, attention: str = "location_sensitive", texts: tuple[str, ...] = ("two five", NASTY)) -> tuple[Path, Path]:
    """A spoken experiment and its data, with short noises in place of speech."""
    exp, data, spoken = folder / "exp" / attention, folder / "dump", folder / "exp" / attention / "speech" / "eval"
    exp.mkdir(parents=True)
    (exp / "config.yaml").write_text(f"attention: {attention}\nfeatures: {{sample_rate: {RATE}, hop: {HOP}}}\nreduction: 2\n")
    rng, rows, recordings = np.random.default_rng(0), [], {}
    for number, text in enumerate(texts):
        key, samples = f"u{number}", (0.1 * rng.standard_normal(4000)).astype(np.float32)
        for kind in ("recordings", *SYSTEMS):
            path = (data if kind == "recordings" else spoken) / kind / f"{key}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            wave.write(path, samples * (0.5 if kind == "copy" else 1.0), RATE)
        recordings[key] = kaldi.from_path(data / "recordings" / f"{key}.wav")
        (spoken / "arrays").mkdir(exist_ok=True)
        mel = rng.standard_normal((20, 80)).astype(np.float32)
        np.savez(spoken / "arrays" / f"{key}.npz", mel_true=mel, mel_free=mel, weights_free=np.eye(10), stop_free=np.linspace(0, 1, 10))
        rows.append({"id": key, "text": text, "stopped_by": "limit" if number else "stop"})
    (spoken / "utterances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (data / "eval").mkdir(exist_ok=True)
    kaldi.write_map(data / "eval" / "wav.scp", recordings)
    return exp, data


def trained(exp: Path) -> None:
    (exp / "text2mel").mkdir()
    lines = [json.dumps({"step": step, "split": "train", "loss": 1 / step}) for step in (1, 2, 3)]
    (exp / "text2mel" / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 4, "sp']))
    (exp / "text2mel" / "training_card.md").write_text("# Card\n\n| | |\n|---|---|\n| Batch | <16> |\n")


def test_the_whole_page(tmp_path: Path) -> None:
    exp, data = experiment(tmp_path)
    trained(exp)
    done = evaluate(exp, data, asr="none", command="toolkit evaluate")
    text = done.report.read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.of("audio")) == 2 * (1 + len(SYSTEMS))
    assert len(page.of("img")) >= 6 and all(image["alt"] for image in page.of("img"))
    assert all(player["aria-label"] and "controls" in player for player in page.of("audio"))
    assert all(cell["scope"] in ("row", "col") for cell in page.of("th"))
    assert page.of("html")[0]["lang"] == "en"
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text
    assert "missed its stop" in text and "&lt;16&gt;" in text
    assert "Free running: MCD 0.00 dB" in done.summary


def test_speech_of_other_arithmetic_is_named(tmp_path: Path) -> None:
    exp, data = experiment(tmp_path)
    assert "arithmetic" not in evaluate(exp, data, asr="none").report.read_text(encoding="utf-8")
    rows = exp / "speech" / "eval" / "utterances.jsonl"
    lines = [json.dumps({**json.loads(line), "precision": "int8", "folds": 8}) for line in rows.read_text().splitlines()]
    rows.write_text("\n".join(lines) + "\n")
    text = evaluate(exp, data, asr="none").report.read_text(encoding="utf-8")
    assert "int8 arithmetic where a part has it, vocoder in 8 folds" in text


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    exp, data = experiment(tmp_path)
    page = Page(evaluate(exp, data, asr="none").report.read_text(encoding="utf-8"))
    sources = [attributes.get("src") or attributes.get("href") or "" for _, attributes in page.elements]
    assert all(source == "" or source.startswith(("data:", "#")) for source in sources)
    assert not page.of("link") and not page.of("iframe")


def test_the_same_experiment_gives_the_same_bytes(tmp_path: Path) -> None:
    exp, data = experiment(tmp_path)
    loaded = read_experiment(exp, data)
    pages = [write_report(loaded, Scores(), {}, "", date).read_text(encoding="utf-8") for date in ("today", "tomorrow")]
    first, second = (page.splitlines() for page in pages)
    assert [(a, b) for a, b in zip(first, second, strict=True) if a != b] == [
        ("<p class='date'>Made on today</p>", "<p class='date'>Made on tomorrow</p>")
    ]


def test_an_experiment_before_any_speech_has_a_report(tmp_path: Path) -> None:
    exp = tmp_path / "young"
    exp.mkdir()
    (exp / "config.yaml").write_text("attention: content\n")
    trained(exp)
    text = evaluate(exp).report.read_text(encoding="utf-8")
    assert "Nothing was spoken yet" in text and len(Page(text).of("img")) == 1
    assert not (exp / "RESULTS.md").exists()


def test_missing_speech_arrays_and_recordings_are_left_out(tmp_path: Path) -> None:
    exp, _ = experiment(tmp_path)
    (exp / "speech" / "eval" / "free" / "u0.wav").unlink()
    (exp / "speech" / "eval" / "arrays" / "u0.npz").unlink()
    page = Page(evaluate(exp, asr="none").report.read_text(encoding="utf-8"))
    assert len(page.of("audio")) == 2 * len(SYSTEMS) - 1


def test_a_system_without_attention_has_no_alignment(tmp_path: Path) -> None:
    exp, data = experiment(tmp_path)
    np.savez(exp / "speech" / "eval" / "arrays" / "u0.npz", weights_free=np.zeros((0, 0), np.float32))
    scores = score(read_experiment(exp, data))
    assert "alignment_focus" not in scores.of("free", "u0") and "alignment_focus" in scores.of("free", "u1")


def test_neighbours_with_the_same_sentences_stand_side_by_side(tmp_path: Path) -> None:
    first, data = experiment(tmp_path)
    second, _ = experiment(tmp_path, "content")
    (tmp_path / "exp" / "broken").mkdir()
    (tmp_path / "exp" / "broken" / "config.yaml").write_text("{")
    text = evaluate(second, data, asr="none").report.read_text(encoding="utf-8")
    assert "attention: &#x27;content&#x27; -&gt; &#x27;location_sensitive&#x27;" in text
    assert 'alt="Alignment of content, free running: two five"' in text
    assert 'alt="Alignment of location_sensitive, free running: two five"' in text
    assert first.name in text


def test_what_is_no_experiment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="config.yaml is missing"):
        evaluate(tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"), [('{"id": "../x"}\n', "unsafe id"), ("[1]\n", "expected an object"), ("{\n{}\n", ":1: not JSON")]
)
def test_damaged_lists_of_utterances_are_refused(tmp_path: Path, line: str, reason: str) -> None:
    exp, _ = experiment(tmp_path)
    (exp / "speech" / "eval" / "utterances.jsonl").write_text(line)
    with pytest.raises(DataError, match=reason):
        evaluate(exp)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    exp, data = experiment(tmp_path)
    (exp / "speech" / "eval" / "arrays" / "u1.npz").write_bytes(b"nothing")
    with pytest.raises(DataError, match="u1.npz: damaged"):
        evaluate(exp, data, asr="none")


def test_choice_of_the_recogniser(tmp_path: Path) -> None:
    exp, _ = experiment(tmp_path)
    assert choose_judge("auto", read_experiment(exp)).recogniser is None
    with pytest.raises(ConfigError, match="closed vocabulary"):
        choose_judge("pocketsphinx", read_experiment(exp))
    with pytest.raises(ConfigError, match="known: auto, none, pocketsphinx"):
        choose_judge("whisper", read_experiment(exp))


def test_sound_in_the_page_is_lossless(tmp_path: Path) -> None:
    samples = np.linspace(-1, 1, 999, dtype=np.float32)
    (tmp_path / "a.flac").write_bytes(flac(samples, RATE))
    assert np.abs(wave.read(tmp_path / "a.flac") - samples).max() <= 1 / 32768


def test_markdown_of_cards() -> None:
    text = to_html("# T\n\n| a | b |\n|---|---|\n| `x` | 1 \\| <2> |\n\n- one\n- **two**\n\nplain", level=4)
    assert "<h4>T</h4>" in text and "<code>x</code>" in text and "1 | &lt;2&gt;" in text
    assert "<li><strong>two</strong></li>" in text and "<p>plain</p>" in text
