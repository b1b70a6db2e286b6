"""Loaders of office documents and workbooks, and what they share."""
