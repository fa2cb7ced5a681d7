"""Training of the small OmniLMM that ships with the project; ``python -m tools.train_small --help`` starts here."""
