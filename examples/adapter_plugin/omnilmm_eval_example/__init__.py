"""An adapter, a metric and a task from a package of their own."""
