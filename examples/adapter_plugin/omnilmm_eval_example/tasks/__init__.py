"""The folder of task files. It is looked into, never imported."""
