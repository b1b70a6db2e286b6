"""What kind of file something is: by its name, its first bytes and what is inside."""
