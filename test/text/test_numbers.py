"""Number words: tables of what is said, and the inverse over all numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.text import numbers


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"), (7, "seven"), (13, "thirteen"), (16, "sixteen"), (20, "twenty"), (42, "forty-two"), (100, "one hundred"),
        (101, "one hundred one"), (999, "nine hundred ninety-nine"), (1000, "one thousand"),
        (12_345, "twelve thousand three hundred forty-five"),
        (1_000_000, "one million"), (2_000_005, "two million five"), (10**9, "one billion"), (10**12, "one trillion"), (-5, "minus five"),
        (10**15, "one" + " zero" * 15),
    ],
)  # fmt: skip
def test_cardinals(number, words):
    assert numbers.cardinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "first"), (2, "second"), (3, "third"), (5, "fifth"), (8, "eighth"), (9, "ninth"), (12, "twelfth"), (20, "twentieth"),
        (21, "twenty-first"), (30, "thirtieth"), (100, "one hundredth"), (112, "one hundred twelfth"), (1000, "one thousandth"),
    ],
)  # fmt: skip
def test_ordinals(number, words):
    assert numbers.ordinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1066, "one thousand sixty-six"), (1100, "eleven hundred"), (1455, "fourteen fifty-five"), (1800, "eighteen hundred"),
        (1905, "nineteen oh five"), (1963, "nineteen sixty-three"), (2000, "two thousand"), (2005, "two thousand five"),
        (2010, "twenty ten"), (2024, "twenty twenty-four"), (3985, "three thousand nine hundred eighty-five"),
    ],
)  # fmt: skip
def test_years(number, words):
    assert numbers.year(number) == words


def test_decades():
    assert [numbers.decade(n) for n in (60, 1800, 1960, 2020)] == ["sixties", "eighteen hundreds", "nineteen sixties", "twenty twenties"]


@pytest.mark.parametrize(
    ("symbol", "amount", "scale", "words"),
    [
        ("$", "1", "", "one dollar"), ("$", "16.50", "", "sixteen dollars, fifty cents"), ("$", "0.01", "", "one cent"),
        ("$", "3,000,000", "", "three million dollars"), ("£", "1.01", "", "one pound, one penny"),
        ("£", "2.50", "", "two pounds, fifty pence"),
        ("£", "1.5", "million", "one point five million pounds"), ("€", "0", "", "zero euros"), ("$", "2.00", "", "two dollars"),
        ("$", "5.125", "", "five point one two five dollars"),
    ],
)  # fmt: skip
def test_money(symbol, amount, scale, words):
    assert numbers.money(symbol, amount, scale) == words


def test_fractions_and_times():
    assert [numbers.fraction(*f) for f in ((1, 2), (3, 2), (3, 4), (1, 3), (5, 16))] == [
        "one half", "three halves", "three quarters", "one third", "five sixteenths"
    ]  # fmt: skip
    assert numbers.time_of_day(10, 30) == "ten thirty"
    assert numbers.time_of_day(9, 5, "a.m.") == "nine oh five a.m."
    assert numbers.time_of_day(12, 0) == "twelve o'clock"
    assert numbers.time_of_day(7, 0, "p.m.") == "seven p.m."


def test_written_numbers():
    assert numbers.number_words("1,234.5") == "one thousand two hundred thirty-four point five"
    assert numbers.number_words("007") == "zero zero seven"
    assert numbers.number_words(".38") == "point three eight"
    assert numbers.number_words("1" * 30) == " ".join(["one"] * 30)


def _value(words: str) -> int:
    """Reads number words back, in another way than they are made."""
    total = group = 0
    for word in words.replace("-", " ").split():
        if word in numbers.SCALES:
            total, group = total + group * 1000 ** numbers.SCALES.index(word), 0
        elif word == "hundred":
            group *= 100
        else:
            group += numbers.ONES.index(word) if word in numbers.ONES else 10 * numbers.TENS.index(word)
    return total + group


@given(st.integers(0, numbers.LIMIT - 1))
def test_cardinal_reads_back(number):
    assert _value(numbers.cardinal(number)) == number
