"""Attention modules by name. What exists is this list."""

from toolkit.attentions.base import ATTENTIONS, Attention
from toolkit.attentions.content import ContentAttention
from toolkit.attentions.dca import DynamicConvolutionAttention
from toolkit.attentions.dot import DotAttention
from toolkit.attentions.forward import ForwardAttention
from toolkit.attentions.forward_ta import ForwardTransitionAttention
from toolkit.attentions.gmm import GmmAttention
from toolkit.attentions.location_sensitive import LocationSensitiveAttention
from toolkit.attentions.monotonic import MonotonicAttention
from toolkit.attentions.stepwise_monotonic import StepwiseMonotonicAttention

__all__ = [
    "ATTENTIONS",
    "Attention",
    "ContentAttention",
    "DotAttention",
    "DynamicConvolutionAttention",
    "ForwardAttention",
    "ForwardTransitionAttention",
    "GmmAttention",
    "LocationSensitiveAttention",
    "MonotonicAttention",
    "StepwiseMonotonicAttention",
]
