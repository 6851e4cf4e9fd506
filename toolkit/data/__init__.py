"""Files, corpora, features and batches."""
