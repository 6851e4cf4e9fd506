import re

from toolkit.text.base import G2P, G2PS


@G2PS.register("spelling")
class SpellingG2P(G2P):
    """Every letter is a phone, as in languages that are written as they are spoken."""

    def __call__(self, text):
        pieces = re.findall(r"\{[^{}]*\}|[^\W\d_]+|\s+|.", text)
        return [(piece, [] if piece.isspace() or piece[0] == "{" else list(piece.lower())) for piece in pieces]

    def inventory(self):
        return list("abcdefghijklmnopqrstuvwxyz")
