"""Hooks around runs, steps and model calls."""

from generative_ai_workflow.middleware.base import Middleware as Middleware
