"""Unicode -> the letters and marks of an English transcript: quotes, dashes, ligatures, accents."""

import unicodedata

TABLE = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´ʼʹ", "'"),
        **dict.fromkeys("“”„‟″«»‹›", '"'),
        **dict.fromkeys("‐‑‒–−", "-"),
        **dict.fromkeys("—―", "--"),
        **dict.fromkeys("[⟨", "("),
        **dict.fromkeys("]⟩", ")"),
        "…": "...", "‥": "..", "·": " ", "•": " ", "⁄": "/", "№": "No. ", "¡": " ", "¿": " ", "_": " ", "*": " ",
        "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ß": "ss", "ẞ": "SS", "ł": "l", "Ł": "L",
        "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i", "ħ": "h", "Ħ": "H", "ŋ": "ng", "Ŋ": "Ng",
    }
)  # fmt: skip
VULGAR = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8"}


def normalise(text: str) -> str:
    """Unicode NFC without invisible characters; control characters become spaces."""
    text = unicodedata.normalize("NFC", text)
    if text.isascii() and text.isprintable():
        return text
    kept = (c for c in text if unicodedata.category(c) not in ("Cf", "Cs"))
    spaced = (" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Zs") else c for c in kept)
    return unicodedata.normalize("NFC", "".join(spaced))


def collapse(text: str) -> str:
    """Every run of white space as one space."""
    return " ".join(text.split())


def fold(text: str) -> str:
    """Characters with a plain English equivalent as that, all others unchanged (they are reported later, not dropped)."""
    if text.isascii():
        return text.translate(TABLE)
    for sign, plain in VULGAR.items():
        text = text.replace(sign, f" {plain}")
    folded: list[str] = []
    for character in text.translate(TABLE):
        bearer = folded[-1][-1] if folded else " "
        if not unicodedata.combining(character) or (not bearer.isascii() and unicodedata.category(bearer)[0] in "LM"):
            folded.append(_fold_character(character))  # an accent on a plain letter or on nothing is left out
    return unicodedata.normalize("NFC", "".join(folded))


def _fold_character(character: str) -> str:
    if character.isascii():
        return character
    parts = unicodedata.normalize("NFKD", character)
    plain = "".join(part for part in parts if not unicodedata.combining(part)).translate(TABLE)
    return plain if plain.isascii() and plain.strip() else character
