"""Loading a trained system and speaking with it."""
