"""The error analysis of Tacotron 2, section 3.2: what a system repeats, skips, mispronounces or ends wrongly."""
