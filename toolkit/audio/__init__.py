"""Waveforms and the mel definition."""
