"""One module per vendor: the registry imports it when its name is asked for; nobody else may import its SDK."""
