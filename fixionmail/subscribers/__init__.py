"""Who gets stories: signing up one by one or from a CSV file, pausing, changing, leaving."""
