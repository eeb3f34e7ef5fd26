"""What is said again and again is let through now and then."""

import logging

from services.scorer.engine.seldom import Seldom


def said(template: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("aiokafka", logging.ERROR, "x.py", 1, template, args, None)


def test_a_message_is_let_through_once_in_a_while_whatever_it_names() -> None:
    now = [100.0]
    seldom = Seldom(30.0, lambda: now[0])
    assert seldom.filter(said("no connection to %s", 1))
    now[0] += 29.9
    assert not seldom.filter(said("no connection to %s", 2))
    assert seldom.filter(said("another"))
    now[0] += 0.1
    assert seldom.filter(said("no connection to %s", 3))
