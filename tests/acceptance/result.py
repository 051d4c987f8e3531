"""What a suite answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

ABSENT = "absent_data"
_SHOWN = 20


@dataclass
class SuiteResult:
    """The count of a suite: `cases == exact + sum of refused + wrong`, except where the data is absent (no cases at all).

    `failures` names wrong cases for people: the first twenty of them, one line each.
    """

    cases: int = 0
    exact: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    failures: list[str] = field(default_factory=list)

    def right(self) -> None:
        """One more case that came out exactly as recorded."""
        self.cases += 1
        self.exact += 1

    def refuse(self, reason: str) -> None:
        """One more case that is outside of what can be said, with its typed reason."""
        self.cases += 1
        self.refused[reason] += 1

    def fail(self, what: str) -> None:
        """One more case that came out otherwise than recorded."""
        self.cases += 1
        self.wrong += 1
        if len(self.failures) < _SHOWN:
            self.failures.append(what)

    def check(self, good: bool, what: str) -> None:
        """One more case, exact if `good`."""
        if good:
            self.right()
        else:
            self.fail(what)

    @property
    def absent(self) -> bool:
        """Whether the folder held nothing for this suite."""
        return self.cases == 0 and self.refused[ABSENT] > 0

    def to_json(self) -> dict[str, object]:
        """The machine-readable form."""
        return {
            "cases": self.cases,
            "exact": self.exact,
            "refused": dict(sorted(self.refused.items())),
            "wrong": self.wrong,
        }


def absent() -> SuiteResult:
    """The answer of a suite whose files are not in the folder: nothing was checked, and that is said."""
    return SuiteResult(refused=Counter({ABSENT: 1}))
