"""All tables of an app moved to another number of partitions, under another app id."""
