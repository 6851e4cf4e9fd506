"""English abbreviations -> words."""

import re

from toolkit.text.numbers import ordinal

TITLES = {
    "mr": "mister", "mrs": "missus", "ms": "miz", "dr": "doctor", "drs": "doctors", "maj": "major", "gen": "general", "rev": "reverend",
    "lt": "lieutenant", "hon": "honorable", "sgt": "sergeant", "capt": "captain", "col": "colonel", "cmdr": "commander",
    "prof": "professor", "gov": "governor", "sen": "senator", "messrs": "messieurs", "mt": "mount",
}  # fmt: skip
"""Words that stand before a name: the full stop is part of the abbreviation."""

SUFFIXES = {
    "co": "company", "ltd": "limited", "inc": "incorporated", "corp": "corporation", "bros": "brothers", "jr": "junior", "sr": "senior",
    "esq": "esquire", "etc": "et cetera", "&c": "et cetera", "vs": "versus", "approx": "approximately", "dept": "department",
    "ave": "avenue", "blvd": "boulevard", "rd": "road",
}  # fmt: skip
"""Words that may end a sentence: at the end of the text the full stop stays."""

BEFORE_NUMBER = {
    "no": "number", "nos": "numbers", "vol": "volume", "vols": "volumes", "p": "page", "pp": "pages", "fig": "figure", "figs": "figures",
    "ch": "chapter", "sec": "section", "jan": "January", "feb": "February", "mar": "March", "apr": "April", "jun": "June",
    "jul": "July", "aug": "August", "sep": "September", "sept": "September", "oct": "October", "nov": "November", "dec": "December",
}  # fmt: skip
"""Words that are abbreviations only where a number follows ("No. 5", not "I said no.")."""

LATIN = {"e.g.": "for example", "i.e.": "that is"}
KINGS = (
    "Alexander|Alfonso|Benedict|Catherine|Charles|Christian|Clement|Edward|Elizabeth|Ferdinand|Francis|Frederick|George|Gregory|Gustavus"
    "|Henry|Innocent|James|John|Leo|Leopold|Louis|Mary|Napoleon|Nicholas|Paul|Peter|Philip|Pius|Richard|Urban|Victor|William"
)
ROMAN = "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX".split()


ALONE = r"(?<![^\W\d_])(?<!\.)"
SENTENCE_END = re.compile(r"[\"')]*\s*$")


def _words(table: dict[str, str]) -> str:
    return "|".join(re.escape(word) for word in sorted(table, key=len, reverse=True))


LATIN_RULE = re.compile(rf"{ALONE}({_words(LATIN)})", re.I)
BEFORE_NUMBER_RULE = re.compile(rf"{ALONE}({_words(BEFORE_NUMBER)})\.\s?(?=[A-Z]{{0,3}}[0-9])", re.I)
TITLE_RULE = re.compile(rf"{ALONE}({_words(TITLES)})\.(?![\w.])", re.I)
SUFFIX_RULE = re.compile(rf"{ALONE}({_words(SUFFIXES)}|st)\.(?![\w.])", re.I)
SAINT_RULE = re.compile(rf"{ALONE}(?i:st)\.(?=\s+[A-Z])")
FORT_RULE = re.compile(rf"{ALONE}(?i:ft)\.(?=\s+[A-Z])")
KING_RULE = re.compile(
    rf"{ALONE}({KINGS}) (?:({'|'.join(sorted(ROMAN[1:], key=len, reverse=True))})(?![^\W\d_])|(I)(?=[.,;:)]|$))(\.(?= [a-z]))?"
)


def expand_abbreviations(text: str) -> str:
    """Every known abbreviation as words. "St." is "saint" before a capital letter, else "street"."""
    text = LATIN_RULE.sub(lambda m: LATIN[m[1].lower()], text)
    text = BEFORE_NUMBER_RULE.sub(lambda m: f"{BEFORE_NUMBER[m[1].lower()]} ", text)
    text = TITLE_RULE.sub(lambda m: TITLES[m[1].lower()], text)
    text = FORT_RULE.sub("fort", SAINT_RULE.sub("saint", text))
    text = SUFFIX_RULE.sub(_suffix, text)
    return KING_RULE.sub(lambda m: f"{m[1]} the {ordinal(ROMAN.index(m[2] or m[3]) + 1)}", text)


def _suffix(match: re.Match[str]) -> str:
    stop = "." if SENTENCE_END.match(match.string, match.end()) else ""
    return SUFFIXES.get(match[1].lower(), "street") + stop
