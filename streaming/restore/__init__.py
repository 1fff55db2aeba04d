"""Tables and changelogs: restoring, standbys, rewriting, positions."""
