"""What is raised of bytes that are no such record. That text is no UTF-8 is found by Python, not by msgspec, and so is
nesting without end."""

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
