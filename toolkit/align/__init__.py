"""Forced alignment: which frames of a recording belong to which symbol of its text."""
