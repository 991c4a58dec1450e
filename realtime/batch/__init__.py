"""Analysis of many files: videos to session folders, pictures to tables."""
