"""Blocks that more than one part uses."""
