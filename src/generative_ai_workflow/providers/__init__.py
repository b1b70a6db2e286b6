"""The chat layer under its workflow names; no code lives here."""
