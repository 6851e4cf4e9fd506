"""Lists of sentences, both verdicts of a tiny voice, the tables, and the page that a person confirms them on."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.errors import DataError
from toolkit.evaluate.error_analysis import analysis as error_analysis
from toolkit.evaluate.error_analysis.analysis import (
    Analysis,
    Finding,
    Sentence,
    Speech,
    analyse,
    end_silence,
    judged,
    read_list,
    read_transcripts,
)
from toolkit.evaluate.error_analysis.page import BOXES, write_page
from toolkit.evaluate.error_analysis.tables import PUBLISHED, as_data, summary, write_tables
from toolkit.evaluate.error_analysis.word_events import Event, Word
from toolkit.tasks.schema import load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.frontend import TextFrontend
from toolkit.text.vocabulary import Vocabulary

pytest.importorskip("jiwer")
pytest.importorskip("matplotlib")
MINI = Path(__file__).parents[3] / "recipes" / "ljspeech" / "conf" / "mini.yaml"
TINY = [
    "encoder_conf={embedding: 8, channels: 8, lstm: 8, dropout: 0.0}", "attention_conf={dim: 8, filters: 4, kernel_size: 5}",
    "decoder_conf={prenet: [8, 8], lstm: 8}", "postnet_conf={channels: 8, dropout: 0.0}", "vocoder=griffin_lim",
    "vocoder_conf={iterations: 2}", "synthesis.frames_per_symbol=1",
]  # fmt: skip
NASTY = 'a "quoted" <script>alert(1)</script> & text'


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a1|one two\nb.2 | three", [("a1", "one two"), ("b.2", "three")]),
        ("1. HURRY%.\n2. A B%C % D%", [("1", "HURRY."), ("2", "A B, C, D")]),
        ("one two.\n\nthree|", None),
        ("one two.\nthree 4.5", [("001", "one two."), ("002", "three 4.5")]),
        ("a|x\na|y", None),
        ("../a|x", None),
        ("\n", None),
    ],
)
def test_lists_of_sentences(tmp_path: Path, written: str, expected: list | None) -> None:
    path = tmp_path / "list.txt"
    path.write_text(written, encoding="utf-8")
    if expected is None:
        with pytest.raises(DataError, match=r"list\.txt"):
            read_list(path)
    else:
        assert [tuple(sentence) for sentence in read_list(path)] == expected


def test_transcripts_of_another_recogniser(tmp_path: Path) -> None:
    (tmp_path / "heard.txt").write_text("a one two\nb\n", encoding="utf-8")
    assert read_transcripts(tmp_path / "heard.txt") == {"a": "one two", "b": ""}
    (tmp_path / "heard.txt").write_bytes(b"a \xff")
    with pytest.raises(DataError, match="not UTF-8"):
        read_transcripts(tmp_path / "heard.txt")


def test_silence_at_the_end() -> None:
    wave = np.concatenate([0.3 * np.random.default_rng(0).standard_normal(8000), np.zeros(4000)]).astype(np.float32)
    assert end_silence(wave, 8000) == pytest.approx(0.5, abs=0.03)
    assert end_silence(np.zeros(8000, np.float32), 8000) == 1.0


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch) -> Text2Mel:
    torch.manual_seed(0)
    system = load_system(MINI, TINY)
    vocabulary = Vocabulary.build([list("abcdefghijklmnopqrstuvwxyz ")])
    task = Text2Mel(system, vocabulary).eval()
    task.frontend = TextFrontend(system.cleaner.build(), system.tokenizer.build(), vocabulary)
    monkeypatch.setattr(error_analysis, "load_text2mel", lambda exp, device, settings: task)
    return task


def test_an_untrained_voice_is_suspected_by_both_judges(voice: Text2Mel, tmp_path: Path) -> None:
    sentences = [Sentence("a", "one two three"), Sentence("b", "seven")]
    heard = {"a": "one three", "b": "7"}
    plan = error_analysis.Plan(vocoder="griffin_lim")
    analysis = analyse(tmp_path, sentences, heard=heard, plan=plan)
    first, second = analysis.findings
    assert [event.kind for event in first.transcript or []] == ["skip"] and second.transcript == []
    assert first.alignment and "stop" in {event.kind for event in first.alignment}
    assert first.speech.weights is not None and len(first.speech.symbols) == first.speech.weights.shape[1]
    again = analyse(tmp_path, sentences[1:], heard=heard, plan=plan)
    assert np.allclose(again.findings[0].speech.weights, second.speech.weights, atol=1e-4)  # a sentence's seed is its own
    with pytest.raises(DataError, match=r"no transcript of 1 sentences, such as 'b'"):
        analyse(tmp_path, sentences, heard={"a": "one"}, plan=plan)


def test_numbers_that_a_recogniser_writes_are_spelled_out_where_the_vocabulary_is_open(voice: Text2Mel) -> None:
    speech = Speech(np.zeros(800, np.float32), 16000, None, [], 0.05, "stop")
    finding = judged(Sentence("a", "Chapter 21"), speech, voice.frontend, "chapter 21", None)
    assert finding.text == "chapter twenty-one" and finding.transcript == [] and finding.alignment is None and finding.control is None


def planted(texts: tuple[str, ...] = ("one two", NASTY)) -> Analysis:
    """The first sentence has a skipped word by both judges and a late stop by one; the second, nothing."""
    wave = (0.1 * np.random.default_rng(0).standard_normal(1600)).astype(np.float32)
    findings = []
    for number, text in enumerate(texts):
        symbols = [*text, "<eos>"]
        speech = Speech(wave, 16000, np.eye(len(symbols), dtype=np.float32), symbols, 0.05, "stop")
        words = [Word(match[0], match.start(), match.end(), match.start(), match.end()) for match in re.finditer(r"\w+", text)]
        skip = [] if number else [Event("skip", (1,), "no attention")]
        late = [] if number else [Event("skip", (1,), "not heard"), Event("stop", (), "late: heard '<b>' after the end")]
        findings.append(Finding(f"u{number}", text, words, speech, skip, late, "one <b>", None))
    return Analysis("voice", "a list of sentences", "by hand", findings)


def test_tables_hold_the_published_counts_and_both_verdicts(tmp_path: Path) -> None:
    analysis = planted()
    found = summary(analysis)
    assert found["alignment"] == {"repeat": 0, "skip": 1, "mispronounced": 0, "stop": 0, "any": 1}
    assert found["both"]["skip"] == 1 and found["both"]["stop"] == 0 and found["either"]["stop"] == 1 and "recordings" not in found
    write_tables(analysis, tmp_path, "toolkit errors")
    text, data = (tmp_path / "errors.md").read_text(encoding="utf-8"), json.loads((tmp_path / "errors.json").read_text(encoding="utf-8"))
    assert "| Tacotron 2 as published, by ear | 100 | 0 | 1 | 6 | 1 | 23 | – |" in text
    assert "| u0 | one two | skip 'two' (no attention) |" in text and "| u1 |" not in text
    assert data == as_data(analysis, "toolkit errors") and data["published"]["prosody"] == PUBLISHED["prosody"] == 23
    assert data["sentences"][0]["transcript"][1] == {"kind": "stop", "words": [], "seen": "late: heard '<b>' after the end"}
    assert data["stops"]["transcript"] == {"early": 0, "late": 1, "missed": 0}


def test_the_page_escapes_texts_and_marks_suspected_words(tmp_path: Path) -> None:
    page = write_page(planted(), tmp_path, "toolkit errors --list '<x>'").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;/script&gt; &amp; text</h3>" in page
    assert 'one <mark title="skipped words">two</mark></h3>' in page and page.count("<mark") == 1
    assert page.count("<audio") == 2 and page.count('class="picture"') == 2
    assert all(page.count(f'name="{kind}"') == 2 for kind in BOXES)
    assert 'data-suspected="true"' in page and 'data-alignment="skip" data-transcript="skip stop"' in page
    assert "http" not in re.sub(r"http-equiv", "", page)  # nothing from anywhere else


DRIVE = """
const seen = {};
const key = name => document.body.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
const number = name => document.querySelector(`table [data-count="${name}"]`).textContent;
key("j"); seen.first = document.activeElement.dataset.id;
key("2"); key("5"); seen.marked = [number("skip"), number("prosody"), number("any"), number("judged")];
key("j"); key("6"); seen.fine = [number("judged"), number("any")];
key("k"); key("6"); seen.cleared = [number("skip"), number("judged"), number("any")];
key("6"); key("3"); seen.csv = csv();
document.getElementById("suspected").click(); seen.hidden = sentences.map(sentence => sentence.hidden);
document.getElementById("keys").click(); key("1"); seen.off = number("repeat");
for (const input of document.querySelectorAll("fieldset input")) input.checked = false;
load(); show(); seen.kept = [number("mispronounced"), number("judged")];
document.body.innerHTML = `<pre>${JSON.stringify(seen)}</pre>`;
"""


@pytest.mark.full
def test_a_listener_marks_by_keyboard_and_the_marks_are_kept(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    page = write_page(planted(("one two", "=three")), tmp_path, "toolkit errors").read_text(encoding="utf-8")
    driven = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace("</body>", f"<script>{DRIVE}</script></body>")
    (tmp_path / "driven.html").write_text(driven, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom"]
    done = subprocess.run([browser, *options, (tmp_path / "driven.html").as_uri()], capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r"<pre>(.*)</pre>", done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:]
    seen = json.loads(found[1])
    assert seen["first"] == "u0" and seen["marked"] == ["1", "1", "1", "1"]
    assert seen["fine"] == ["2", "1"] and seen["cleared"] == ["0", "2", "0"]  # fine takes the errors away
    assert seen["csv"].splitlines()[1:] == [
        '"u0","one two","1","0","0","1","0","0","0","skip","skip stop"', '"u1","\'=three","1","0","0","0","0","0","1","",""'
    ]  # fmt: skip
    assert seen["hidden"] == [False, True] and seen["off"] == "0" and seen["kept"] == ["1", "2"]
