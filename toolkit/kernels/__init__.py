"""Fast paths. Each names the plain twin that it must equal, and a test compares them; only the part that a path speeds up imports it."""
