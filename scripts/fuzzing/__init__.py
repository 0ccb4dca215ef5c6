"""Fuzzing of the importers: damage model files, and judge what the importer makes of them."""
