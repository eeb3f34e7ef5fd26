"""What a comparison says of its runs."""

import re

from services.bench import report
from services.bench.measure import Run


def run(events_per_second: float, cpu_s_per_million: float) -> Run:
    return Run(1_000_000, 1e6 / events_per_second, cpu_s_per_million, cpu_s_per_million + 2, 3.0, 150.0)


RUNS = {
    "faust-idiomatic": [run(1_000, 300), run(2_000, 320), run(9_000, 310)],
    "quix-eos": [run(30_000, 40)],
    "kafka-streams-eos": [run(50_000, 33)],
    "flink-eos": [run(60_000, 21), run(60_000, 17)],
    "tierline": [run(50_000, 12), run(60_000, 13), run(70_000, 14)],
}


def test_the_last_line_is_made_of_medians() -> None:
    assert report.ratios(RUNS) == (
        "tierline/faust-idiomatic 30.00  tierline/quix-eos 2.00  tierline/kafka-streams-eos 1.20"
        "  cpu-seconds-per-million tierline 13.0  flink 19.0"
    )


def test_what_was_not_measured_is_a_dash() -> None:
    without = {name: of for name, of in RUNS.items() if name in ("tierline", "quix-eos")}
    assert report.ratios(without) == (
        "tierline/faust-idiomatic -  tierline/quix-eos 2.00  tierline/kafka-streams-eos -"
        "  cpu-seconds-per-million tierline 13.0  flink -"
    )


def test_the_table_has_a_line_a_system_with_median_and_range() -> None:
    lines = report.table(RUNS)
    assert len(lines) == 1 + len(RUNS)
    tierline = next(line for line in lines if line.startswith("tierline "))
    assert re.search(r"60,000\s+\(50,000 to 70,000\)\s+13\.0\s+\(12\.0 to 14\.0\)\s+15\.0\s+3\.0\s+150", tierline)
