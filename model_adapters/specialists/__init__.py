"""Specialists: programs that do one thing and are no language models, so that their tasks have a real reference."""
