"""When what waits on topic `transfers` is sent round again, and how long it rests."""

from typing import Final

from services.scorer.engine.transfers import Transfer, name_of

_FIRST_REST_S, _LONGEST_REST_S = 0.1, 10.0
_SHORT_REST_S, _REST_EACH_S = 0.1, 0.001  # as long as nothing is begun, 1,000 are sent again a second at most
_MOST_PASSED: Final = 100_000  # names, some 15 MB


class Rounds:
    """What waits lets others pass by being sent again, to the end of the topic. If it comes round and nothing that it
    may wait for has happened, all of it rests, ever longer: else it would fill the topic for as long as it waits. The
    rest is short if something has come that was not in the round, which may have nothing to wait for.

    until_s: all rests until then, of a clock that only goes forward; 0 if it does not
    """

    def __init__(self) -> None:
        self._passed: set[str] = set()
        self._comes_round = self._others = False
        self._rest_s = self._short_s = self._longest_s = 0.0

    @property
    def until_s(self) -> float:
        return self._short_s if self._others else self._longest_s

    def came(self, name: str) -> None:
        """Something has come; what comes before the round does will be looked at in it."""
        if name in self._passed:
            self._comes_round = True
        elif self._comes_round:
            self._others = True

    def rests(self, transfer: Transfer, now_s: float) -> bool:
        """now_s: of a clock that only goes forward"""
        if now_s < self.until_s:
            return True
        if self._longest_s:
            self._begin_round()
        if name_of(transfer) not in self._passed and len(self._passed) < _MOST_PASSED:
            return False
        short_s = min(_LONGEST_REST_S, max(_SHORT_REST_S, _REST_EACH_S * len(self._passed)))
        self._rest_s = min(_LONGEST_REST_S, max(_FIRST_REST_S, short_s, 2 * self._rest_s))
        self._short_s, self._longest_s = now_s + short_s, now_s + self._rest_s
        return True

    def passed_on(self, transfer: Transfer) -> None:
        """It was not taken, but sent again."""
        self._passed.add(name_of(transfer))

    def begin_anew(self) -> None:
        """Something has happened for which others may have waited."""
        self._begin_round()
        self._rest_s = 0.0

    def _begin_round(self) -> None:
        self._passed.clear()
        self._comes_round = self._others = False
        self._short_s = self._longest_s = 0.0
