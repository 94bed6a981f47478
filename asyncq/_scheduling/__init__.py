"""What runs inside a scheduler: an actor a file."""
