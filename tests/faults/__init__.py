"""What goes wrong between a chat model and its server, as data; each fault is run against a real server on loopback."""
