"""Parts for the toolkit: importing this package registers them."""

from toolkit_example_parts.attention import SharpAttention
from toolkit_example_parts.g2p import SpellingG2P
from toolkit_example_parts.vocoder import FrameVocoder

__all__ = ["FrameVocoder", "SharpAttention", "SpellingG2P"]
