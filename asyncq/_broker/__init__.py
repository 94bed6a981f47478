"""What can be done in Redis, one area a file, one script a step."""
