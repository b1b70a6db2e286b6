"""Structured output: values of a wanted shape out of chat models, whatever the provider can enforce."""
