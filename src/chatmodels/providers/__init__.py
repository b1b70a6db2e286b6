"""One module per vendor: imported by the registry when its name is asked for, and alone in importing that vendor's SDK."""
