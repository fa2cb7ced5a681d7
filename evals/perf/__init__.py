"""Latency, memory and energy: measuring, apart from evaluating."""
