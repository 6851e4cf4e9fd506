"""From written text to symbol ids: cleaners, tokenizers, the vocabulary and the front end that joins them."""
