"""Where answers are kept, and one flight for equal requests that are under way together."""
