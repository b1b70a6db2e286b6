"""Image files opened within the limits, picture by picture."""
