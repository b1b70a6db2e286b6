"""One module per vendor: the registry imports it when its name is asked for, and only it may import that vendor's SDK."""
