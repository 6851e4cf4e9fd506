"""Postnets by name. What exists is this list."""

from toolkit.postnets.base import POSTNETS, Postnet
from toolkit.postnets.cbhg import CBHGPostnet
from toolkit.postnets.conv import ConvPostnet
from toolkit.postnets.none import NoPostnet

__all__ = ["POSTNETS", "CBHGPostnet", "ConvPostnet", "NoPostnet", "Postnet"]
