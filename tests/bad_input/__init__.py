"""Broken and hostile files, each made in code, and what is to become of each of them."""
