"""The evaluation harness: from a task's YAML to a scored, uncertainty-aware result."""
