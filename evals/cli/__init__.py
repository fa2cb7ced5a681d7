"""Between the command line and the harness: arguments, what they choose, and what the commands print."""
