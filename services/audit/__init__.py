"""`tierline audit`: customers recomputed from the topics and held against the live state."""
