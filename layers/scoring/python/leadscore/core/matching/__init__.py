"""How the matcher works inside: one index per field, the exact reading of arrays, and the generated walker."""
