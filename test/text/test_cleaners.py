"""Cleaners: what is written against what is said, the whole LJSpeech corpus, and any text at all."""

import collections
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.text.cleaners import CLEANERS, BasicCleaner, EnglishCleaner

english = EnglishCleaner()
TABLE = [
    ("16", "sixteen"),
    ("  Hello \t\n  World ", "hello world"),
    ("“It’s” ‘fine’ … café — naïve – Zürich", "\"it's\" 'fine' ... cafe -- naive - zurich"),
    ("à la façon d’une tête-à-tête, fête, élève, Müller â", "a la facon d'une tete-a-tete, fete, eleve, muller a"),
    ("cafe\u0301 ﬁne Æsop œuvre straße", "cafe fine aesop oeuvre strasse"),
    ("zero\u200bwidth soft\u00adhyphen no\u00a0break \ufeff", "zerowidth softhyphen no break"),
    ("[sic] {Smith}", "(sic) {Smith}"),
    ("Mr. and Mrs. Smith, Dr. Jones & Sgt. Hill", "mister and missus smith, doctor jones and sergeant hill"),
    ("St. James lives on Oak St. now.", "saint james lives on oak street now."),
    ("Brown & Co., Ltd.", "brown and company, limited."),
    ("apples, pears, etc.", "apples, pears, et cetera."),
    ("apples, etc. were sold, e.g. pears, i.e. fruit", "apples, et cetera were sold, for example pears, that is fruit"),
    ("No. 5 and no. 12, vol. 3, pp. 4-6, but no. Never.", "number five and number twelve, volume three, pages four to six, but no. never."),
    ("No. 133-B, C2766", "number one hundred thirty-three b, c two seven six six"),
    ("George III. was king; Henry VIII, Charles I.", "george the third was king; henry the eighth, charles the first."),
    ("I think Charles I saw X", "i think charles i saw x"),
    ("$16.50, £1.5 million, €3 and $1", "sixteen dollars, fifty cents, one point five million pounds, three euros and one dollar"),
    ("4.8% or 12 %", "four point eight percent or twelve percent"),
    ("March 3rd, 1865", "march third, eighteen sixty-five"),
    ("3 March 1901", "the third of march nineteen oh one"),
    ("Jan. 5", "january fifth"),
    ("May 1914", "may nineteen fourteen"),
    ("2024-03-05", "march fifth, twenty twenty-four"),
    ("11/22/1963", "eleven twenty-two nineteen sixty-three"),
    ("10:30 a.m., 12:00, 9:05pm; 5 p.m.", "ten thirty a.m., twelve o'clock, nine oh five p.m.; five p.m."),
    ("the 1960s and '60s", "the nineteen sixties and 'sixties"),
    ("1861-1865, 1861-65, 5-10", "eighteen sixty-one to eighteen sixty-five, eighteen sixty-one to sixty-five, five to ten"),
    ("1st, 22nd, 103rd", "first, twenty-second, one hundred third"),
    ("2 lbs. of sugar, 1 lb. of salt, 5 ft. 3 oz.", "two pounds of sugar, one pound of salt, five feet. three ounces."),
    ("5km, 16 kHz, -5°C, 90°", "five kilometers, sixteen kilohertz, minus five degrees celsius, ninety degrees"),
    ("a 5-inch, 240-foot rope", "a five-inch, two hundred forty-foot rope"),
    ("1/2, 3/4, 2 1/2 lbs. of ½", "one half, three quarters, two and a half pounds of one half"),
    ("24/7", "twenty-four seven"),
    ("1,234,567 and 1.2.3", "one million two hundred thirty-four thousand five hundred sixty-seven and one point two point three"),
    ("mp3 007 0", "mp three zero zero seven zero"),
    ("{HH AH0 L OW1}, Dr. {S M IH1 TH}!", "{HH AH0 L OW1}, doctor {S M IH1 TH}!"),
    ("5 {EY1}{B IY1} 6", "five {EY1}{B IY1} six"),
    ("", ""),
    ("日本 $", "日本 dollars"),
]


@pytest.mark.parametrize(("written", "said"), TABLE)
def test_english(written, said):
    assert english(written) == said


def test_knobs():
    assert EnglishCleaner(ordinal_days=False)("November 22, 1963") == "november twenty-two, nineteen sixty-three"
    assert EnglishCleaner(lower=False)("Mr. Bond has 2 cats") == "mister Bond has two cats"
    assert BasicCleaner()(" A\u030a  No. 5 ") == "å no. 5"
    assert BasicCleaner(lower=False)("No. {HH  AH0}") == "No. {HH  AH0}"
    assert CLEANERS.names() == ["basic", "english"]


@given(st.text() | st.text("0123456789.,:-/$£%° aApmSstlbsNoIV{}'\"&½", max_size=30))
def test_clean_text_stays_as_it_is(text):
    for name in CLEANERS.names():
        cleaner = CLEANERS.part(name).build()
        once = cleaner(text)
        assert cleaner(once) == once


def test_inline_phonemes_are_untouched():
    assert english("ÀÉ {3 ½ “X”  y} 3") == "ae {3 ½ “X”  y} three"


@pytest.fixture(scope="module")
def ljspeech(real_data):
    file = real_data / "texts/ljspeech_transcripts.csv"
    return [line.split("|") for line in file.read_text(encoding="utf-8").splitlines()]


def test_every_ljspeech_transcript_becomes_plain(ljspeech):
    found = collections.Counter("".join(english(raw) for _, raw, _ in ljspeech))
    assert not {symbol: count for symbol, count in found.items() if not re.fullmatch(r"[a-z '!\"(),\-.:;?]", symbol)}


def test_numbers_are_read_as_the_ljspeech_speaker_reads_them(ljspeech):
    cleaner = EnglishCleaner(ordinal_days=False)  # the speaker says "November twenty-two"
    rows = [(raw, said) for _, raw, said in ljspeech if raw != said]
    same = [re.findall("[a-z]+", cleaner(raw)) == re.findall("[a-z]+", cleaner(said)) for raw, said in rows]
    assert sum(same) >= 0.94 * len(same)
