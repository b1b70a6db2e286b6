"""Bytes turned into characters: encodings told, guessed and read, and white space made uniform."""
