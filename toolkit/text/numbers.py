"""English number words: cardinals, ordinals, years, decimals, fractions, money. Digits in, words out; no text is searched here."""

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = ("", "thousand", "million", "billion", "trillion")
LIMIT = 1000 ** len(SCALES)
"""Numbers from here on are read digit by digit."""

IRREGULAR = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth"
}  # fmt: skip
FRACTIONS = {2: "half", 4: "quarter"}
CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
}


def cardinal(number: int) -> str:
    """12 345 -> ``twelve thousand three hundred forty-five``; American form, without "and"."""
    if number < 0:
        return f"minus {cardinal(-number)}"
    if number >= LIMIT:
        return digits(str(number))
    if number == 0:
        return ONES[0]
    groups = []
    for scale in SCALES:
        number, group = divmod(number, 1000)
        if group:
            groups.append(f"{_below_thousand(group)} {scale}".strip())
    return " ".join(reversed(groups))


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{ONES[hundreds]} hundred"] if hundreds else []
    if rest:
        words.append(_below_hundred(rest))
    return " ".join(words)


def _below_hundred(number: int) -> str:
    if number < 20:
        return ONES[number]
    tens, ones = divmod(number, 10)
    return f"{TENS[tens]}-{ONES[ones]}" if ones else TENS[tens]


def digits(text: str) -> str:
    """``2766`` -> ``two seven six six``."""
    return " ".join(ONES[int(digit)] for digit in text)


def ordinal(number: int) -> str:
    """21 -> ``twenty-first``."""
    words = cardinal(number)
    start = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[start:]
    if last in IRREGULAR:
        last = IRREGULAR[last]
    else:
        last = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return words[:start] + last


def year(number: int) -> str:
    """1963 -> ``nineteen sixty-three``, 1905 -> ``nineteen oh five``, 2005 -> ``two thousand five``, 2024 -> ``twenty twenty-four``."""
    century, rest = divmod(number, 100)
    if not (1100 <= number <= 1999 or 2010 <= number <= 2099):
        return cardinal(number)
    if rest == 0:
        return f"{_below_hundred(century)} hundred"
    return f"{_below_hundred(century)} {f'oh {ONES[rest]}' if rest < 10 else _below_hundred(rest)}"


def decade(number: int) -> str:
    """1960 -> ``nineteen sixties``, 60 -> ``sixties``, 1800 -> ``eighteen hundreds``."""
    words = year(number)
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def number_words(text: str) -> str:
    """A number as written, with thousands commas and decimals: ``1,234.5`` -> ``one thousand two hundred thirty-four point five``."""
    whole, _, decimals = text.replace(",", "").partition(".")
    if len(whole) > 1 and whole.startswith("0"):
        words = digits(whole)
    else:
        words = cardinal(int(whole)) if len(whole) <= 3 * len(SCALES) and whole else digits(whole)
    return f"{words} point {digits(decimals)}".strip() if decimals else words


def fraction(numerator: int, denominator: int) -> str:
    """1, 2 -> ``one half``; 3, 4 -> ``three quarters``; 5, 16 -> ``five sixteenths``."""
    word = FRACTIONS.get(denominator, ordinal(denominator))
    if numerator == 1:
        return f"one {word}"
    return f"{cardinal(numerator)} {'halves' if denominator == 2 else f'{word}s'}"


def money(symbol: str, amount: str, scale: str = "") -> str:
    """``$``, ``16.50`` -> ``sixteen dollars, fifty cents``; ``£``, ``1.5``, ``million`` -> ``one point five million pounds``."""
    one, many, cent, cents = CURRENCIES[symbol]
    whole, _, decimals = amount.replace(",", "").partition(".")
    if scale or len(decimals) not in (0, 2):
        return " ".join(filter(None, (number_words(amount), scale, many)))
    small = int(decimals or 0)
    words = [] if not int(whole) and small else [f"{number_words(whole)} {one if int(whole) == 1 else many}"]
    if small:
        words.append(f"{cardinal(small)} {cent if small == 1 else cents}")
    return ", ".join(words)


def time_of_day(hour: int, minute: int, half: str = "") -> str:
    """10, 30 -> ``ten thirty``; 10, 5 -> ``ten oh five``; 10, 0 -> ``ten o'clock``; ``half`` is ``a.m.``, ``p.m.`` or empty."""
    if minute == 0:
        words = f"{cardinal(hour)}" if half else f"{cardinal(hour)} o'clock"
    else:
        words = f"{cardinal(hour)} {f'oh {ONES[minute]}' if minute < 10 else _below_hundred(minute)}"
    return f"{words} {half}".strip()
