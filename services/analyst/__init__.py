"""The analyst's tools: calibrate, back-test, compare and try out policies. Nothing here runs in a service."""
