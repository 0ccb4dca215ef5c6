"""Read a user's file into a `Model`."""
