"""Calendar spans: exits never run backwards, clamped days leave at their end, anniversaries are wall time (rule 1)."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scorer.domain.instants import to_ms
from services.scorer.domain.spans import anniversary, longest_ms, parse_span, shortest_ms, window_exit

BERLIN = ZoneInfo("Europe/Berlin")
MONTH = parse_span("1mo")


def at(text: str, zone: ZoneInfo = BERLIN) -> int:
    moment = datetime.fromisoformat(text)
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=zone))


def test_a_day_is_24_hours_even_when_the_clock_changes():
    assert window_exit(parse_span("1d"), at("2026-03-28T12:00"), BERLIN) == at("2026-03-29T13:00")


def test_a_month_leaves_at_the_same_time_since_midnight():
    assert window_exit(MONTH, at("2026-01-15T08:30"), BERLIN) == at("2026-02-15T08:30")


def test_a_clamped_day_leaves_at_its_end():
    assert window_exit(MONTH, at("2026-01-31T08:30"), BERLIN) == at("2026-03-01T00:00")


def test_a_long_day_s_last_hour_leaves_no_later_than_the_target_day_s_end():
    # 25 October 2026 has 25 hours: its last instant has 24 h 59 min behind it, 25 November only 24 h
    assert window_exit(MONTH, at("2026-10-25T22:59:00+00:00"), BERLIN) == at("2026-11-26T00:00")


def test_an_anniversary_of_29_february_is_28_february():
    assert anniversary(parse_span("1y"), at("2024-02-29T10:00"), BERLIN) == at("2025-02-28T10:00")


@given(
    st.integers(at("2023-12-01T00:00"), at("2028-03-01T00:00")),
    st.integers(0, 3 * 86_400_000),
    st.sampled_from(["1mo", "3mo", "12mo", "1y", "30d"]),
    st.sampled_from(["Europe/Berlin", "America/Sao_Paulo", "Asia/Shanghai", "America/New_York"]),
)
def test_exits_never_run_backwards(entry, later, span, zone):
    first = window_exit(parse_span(span), entry, ZoneInfo(zone))
    assert entry < first <= window_exit(parse_span(span), entry + later, ZoneInfo(zone))
    assert shortest_ms(parse_span(span)) <= first - entry <= longest_ms(parse_span(span))


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "30days", "1.5h", "-1d", "101y", "999999999999d"])
def test_what_is_not_a_span_is_refused(text):
    with pytest.raises(ValueError, match=r"span|out of range"):
        parse_span(text)
