"""One module or package per vendor, imported when its name is first asked for; nobody else may import its SDK."""
