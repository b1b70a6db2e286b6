"""Loaders of messages and what they share: headers, parts, attachments."""
