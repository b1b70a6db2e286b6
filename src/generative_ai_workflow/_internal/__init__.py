"""Names of the first plan; no code lives here."""
