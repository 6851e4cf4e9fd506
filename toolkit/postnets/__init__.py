"""Postnets by name. What exists is this list."""

from toolkit.postnets.base import POSTNETS, Postnet
from toolkit.postnets.conv import ConvPostnet

__all__ = ["POSTNETS", "ConvPostnet", "Postnet"]
