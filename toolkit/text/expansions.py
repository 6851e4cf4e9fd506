"""Finds numbers, money, dates, times and measures in a text and writes them as words (rules in order, most specific first)."""

import re
from collections.abc import Callable

from toolkit.text.numbers import cardinal, decade, digits, fraction, money, number_words, ordinal, time_of_day, year

MONTHS = "January February March April May June July August September October November December".split()
SCALE_WORDS = "hundred|thousand|million|billion|trillion"
UNITS = {
    "lb": ("pound", "pounds"), "lbs": ("pound", "pounds"), "oz": ("ounce", "ounces"), "ft": ("foot", "feet"), "yd": ("yard", "yards"),
    "yds": ("yard", "yards"), "mi": ("mile", "miles"), "mph": ("mile per hour", "miles per hour"), "km": ("kilometer", "kilometers"),
    "km/h": ("kilometer per hour", "kilometers per hour"), "m": ("meter", "meters"), "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"), "kg": ("kilogram", "kilograms"), "g": ("gram", "grams"), "mg": ("milligram", "milligrams"),
    "ml": ("milliliter", "milliliters"), "hr": ("hour", "hours"), "hrs": ("hour", "hours"), "min": ("minute", "minutes"),
    "sec": ("second", "seconds"), "ms": ("millisecond", "milliseconds"), "Hz": ("hertz", "hertz"), "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"), "GHz": ("gigahertz", "gigahertz"), "kB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"), "GB": ("gigabyte", "gigabytes"), "°C": ("degree celsius", "degrees celsius"),
    "°F": ("degree fahrenheit", "degrees fahrenheit"), "°": ("degree", "degrees"), "¢": ("cent", "cents"),
}  # fmt: skip
SIGNS = {
    "&": "and", "%": "percent", "@": "at", "#": "number", "+": "plus", "=": "equals", "$": "dollars", "£": "pounds", "€": "euros",
    "/": "", "°": "degrees", "¢": "cents",
}  # fmt: skip

WHOLE = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?![0-9])"
NUMBER = rf"{WHOLE}(?:\.[0-9]+)?(?![0-9])"
START = r"(?<![\w.,])"
MONTH = rf"({'|'.join(MONTHS)})"
HALF = r"([ap])\.? ?m\b\.?"
UNIT_NAMES = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
UNIT_END = r"(?![\w/])(?:\.(?= [a-z]))?"

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


def _half(letter: str | None) -> str:
    return f"{letter.lower()}.m." if letter else ""


def _unit(match: re.Match[str]) -> str:
    one, many = UNITS[match[2]]
    joint = "-" if match.string[match.start(2) - 1] == "-" else " "
    return f"{number_words(match[1])}{joint}{one if match[1] == '1' or joint == '-' else many}"


def _fraction(match: re.Match[str]) -> str:
    if int(match[2]) >= int(match[3]):
        return match[0]
    words = fraction(int(match[2]), int(match[3]))
    if match[1]:
        words = f"{number_words(match[1])} and {'a' + words[3:] if words.startswith('one ') else words}"
    return f"{words} {UNITS[match[4]][1]}" if match[4] else words


def _iso_date(match: re.Match[str]) -> str:
    return f"{MONTHS[int(match[2]) - 1]} {ordinal(int(match[3]))}, {year(int(match[1]))}"


def _range(match: re.Match[str]) -> str:
    first, last = match[1] or match[3], match[2] or match[4]
    if len(last) >= len(first) and int(first) >= int(last):
        return match[0]
    return " to ".join(year(int(number)) if len(number) == 4 else cardinal(int(number)) for number in (first, last))


def _plain(match: re.Match[str]) -> str:
    text = match[0]
    return year(int(text)) if len(text) == 4 and text[0] != "0" else number_words(text)


BEFORE_DATES: list[Rule] = [
    (re.compile(r"(?<![^\s(])-(?=[$£€]?[0-9])"), lambda m: "minus "),
    (
        re.compile(rf"([$£€]) ?({NUMBER})(?: ({SCALE_WORDS})\b)?"),
        lambda m: money(m[1], m[2], m[3] or ""),
    ),
    (re.compile(rf"{START}({NUMBER}) ?%"), lambda m: f"{number_words(m[1])} percent"),
    (re.compile(rf"{START}\b([12][0-9]{{3}})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\b"), _iso_date),
]
DATES: list[Rule] = [
    (re.compile(rf"\b{MONTH}( [0-9]{{1,2}})(?:st|[nr]d|th)?\b(?![.,:/]?[0-9])", re.I), lambda m: f"{m[1]} {ordinal(int(m[2]))}"),
    (re.compile(rf"{START}\b([0-9]{{1,2}}) {MONTH}\b", re.I), lambda m: f"the {ordinal(int(m[1]))} of {m[2]}"),
]
AFTER_DATES: list[Rule] = [
    (
        re.compile(rf"{START}\b([01]?[0-9]|2[0-4]):([0-5][0-9])(?: ?{HALF})?(?![0-9:])", re.I),
        lambda m: time_of_day(int(m[1]), int(m[2]), _half(m[3])),
    ),
    (re.compile(rf"{START}\b(1[0-2]|[1-9]) ?{HALF}", re.I), lambda m: f"{cardinal(int(m[1]))} {_half(m[2])}"),
    (re.compile(rf"{START}({WHOLE})(?:st|[nr]d|th)\b", re.I), lambda m: ordinal(int(m[1].replace(",", "")))),
    (re.compile(rf"{START}(?:([0-9]+) )?([1-9][0-9]?)/([2-9]|10|12|16|32|64|100)(?![0-9/])(?: ?({UNIT_NAMES}){UNIT_END})?"), _fraction),
    (re.compile(rf"{START}({NUMBER})[ -]?({UNIT_NAMES}){UNIT_END}"), _unit),
    (re.compile(rf"{START}\b((?:1[0-9]|20)?[1-9]0|1[1-9]00)'?s\b"), lambda m: decade(int(m[1]))),
    (re.compile(rf"{START}(?<!-)\b(?:([0-9]{{1,3}})-([0-9]{{1,3}})|([12][0-9]{{3}})-([0-9]{{4}}|[0-9]{{2}}))(?![\w-]|[.,][0-9])"), _range),
    (re.compile(rf"\b([A-Z]{{1,3}})({WHOLE})(?!\w)"), lambda m: f"{' '.join(m[1])} {digits(m[2].replace(',', ''))}"),
    (re.compile(r"([0-9])(?=[^\W\d_])|([^\W\d_])(?=[0-9])"), lambda m: f"{m[0]} "),
    (re.compile(r"([0-9])-(?=[A-Z]\b)"), lambda m: f"{m[1]} "),
    (re.compile(r"(?<=[0-9])\.(?=[0-9]+\.[0-9])"), lambda m: " point "),
    (re.compile(rf"{START}[0-9]{{1,3}}(?:,[0-9]{{3}})+(?:\.[0-9]+)?(?![0-9])|[0-9]*\.[0-9]+"), lambda m: number_words(m[0])),
    (re.compile(r"[0-9]+"), _plain),
    (re.compile("|".join(re.escape(sign) for sign in SIGNS)), lambda m: f" {SIGNS[m[0]]} "),
]


def expand_numbers(text: str, ordinal_days: bool = True) -> str:
    """Every number as words, and signs such as ``&`` and ``%``.

    Args:
        text: plain characters; abbreviations are expanded already, case is as written.
        ordinal_days: "March 3" is read "March third", otherwise as it is written, "March three".
    """
    for pattern, spell in BEFORE_DATES + (DATES if ordinal_days else []) + AFTER_DATES:
        text = pattern.sub(spell, text)
    return text
