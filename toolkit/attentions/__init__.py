"""Attention modules by name. What exists is this list."""

from toolkit.attentions.base import ATTENTIONS, Attention
from toolkit.attentions.content import ContentAttention
from toolkit.attentions.dca import DynamicConvolutionAttention
from toolkit.attentions.gmm import GmmAttention
from toolkit.attentions.location_sensitive import LocationSensitiveAttention

__all__ = ["ATTENTIONS", "Attention", "ContentAttention", "DynamicConvolutionAttention", "GmmAttention", "LocationSensitiveAttention"]
