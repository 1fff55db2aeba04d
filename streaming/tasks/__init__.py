"""One partition at work: its queue, its processors, its share of memory, its outbox."""
