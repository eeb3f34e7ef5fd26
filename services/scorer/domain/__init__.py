"""The deciding core, pure: no clock, no I/O, no Kafka. Times are integers, ms since 1970-01-01T00:00Z."""
