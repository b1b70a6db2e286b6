"""From bytes to documents and chunks."""
