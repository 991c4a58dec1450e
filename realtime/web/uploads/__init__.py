"""File tab: uploaded videos and their analyses."""
