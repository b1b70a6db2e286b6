"""Versioned prompts: files of templates, an index of what was registered, and references to them."""
