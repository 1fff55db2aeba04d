"""Tables from their changelogs: restored, followed as standbys, rewritten; where to read on."""
