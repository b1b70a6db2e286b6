"""Runs on disk: their ids, their folders, the lines and files inside, and the index of all of them."""
