"""An order service: what makes it up is said in README.md."""
