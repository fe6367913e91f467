"""How the offline writer tells a story: prose templates, a cast, a place, and the walk through the combinations."""
