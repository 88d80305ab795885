"""Whether a request meets one condition of a policy, and the sentence that says why.

Reads the policy's side from whoever wrote the policy: an operator, key or value that is not modelled is
refused when the policy is stored. The rules for values, as the IAM user guide has them ("Condition
operators", "Multivalued context keys"):

    several values in the policy       any of them (negated operator: none of them)
    key absent                         false, even with ForAnyValue; negated, ...IfExists, ForAllValues: true
    Null                               whether the key is absent
    ForAllValues / ForAnyValue         every / at least one value of the request, each compared by itself
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from scenarios.kms.comparisons import COMPARISONS, NEGATED
from scenarios.kms.condition_keys import has_several_values, is_known
from scenarios.kms.errors import MalformedPolicyError

Quantifier = Literal["", "ForAllValues", "ForAnyValue"]
Context = Mapping[str, tuple[str, ...]]
"""The request's values by key in lower case. An absent key is not there; a key of several may have none."""

_NULL: Final = "Null"
_IF_EXISTS: Final = "IfExists"
_VALUES_MAX: Final = 256
_SHOWN: Final = 200


@dataclass(frozen=True)
class Condition:
    """One operator on one key, with the values that the policy lists."""

    operator: str
    """Without what stands before and after it: `StringEquals`."""
    quantifier: Quantifier
    if_exists: bool
    key: str
    """As the policy has it."""
    values: tuple[str, ...]

    def holds(self, context: Context) -> bool:
        """Whether `context` meets this condition."""
        got = context.get(self.key.lower())
        if self.operator == _NULL:
            return (not got) == (self.values[0].lower() == "true")
        if not got:
            return self._holds_without()
        each = (self._fits(value) for value in got)
        return any(each) if self.quantifier == "ForAnyValue" else all(each)

    def says(self, context: Context) -> str:
        """What was compared with what, for people."""
        got = context.get(self.key.lower())
        shown = " and ".join(map(_shown, got)) if got else "nothing"
        return f"{self} names {' or '.join(map(_shown, self.values))}, got {shown}"

    def _holds_without(self) -> bool:
        if self.if_exists or self.quantifier == "ForAllValues":
            return True
        return self.quantifier == "" and self.operator in NEGATED

    def _fits(self, got: str) -> bool:
        negated = self.operator in NEGATED
        compare = COMPARISONS[NEGATED.get(self.operator, self.operator)]
        return any(compare(got, value) for value in self.values) != negated

    def __str__(self) -> str:
        prefix = f"{self.quantifier}:" if self.quantifier else ""
        return f"{prefix}{self.operator}{_IF_EXISTS if self.if_exists else ''} {self.key}"


def parse_conditions_untrusted(block: Any, *, where: str, services: frozenset[str]) -> tuple[Condition, ...]:
    """The conditions of one statement, all of which have to hold, on keys of `services`.

    Raises `MalformedPolicyError`.
    """
    if type(block) is not dict or not block:
        raise MalformedPolicyError(f"{where}: Condition: expected an object of operators")
    found = []
    for operator, keys in block.items():
        if type(keys) is not dict or not keys:
            raise MalformedPolicyError(f"{where}: Condition {operator[:80]!r}: expected an object of keys")
        found += [
            _parse(operator, key, values, where=where, services=services) for key, values in keys.items()
        ]
    return tuple(found)


def _parse(written: str, key: str, values: Any, *, where: str, services: frozenset[str]) -> Condition:
    quantifier: Quantifier = ""
    operator = written
    for name in ("ForAllValues", "ForAnyValue"):
        if written.startswith(f"{name}:"):
            quantifier = name
            operator = written.partition(":")[2]
    if_exists = operator.endswith(_IF_EXISTS)
    operator = operator.removesuffix(_IF_EXISTS)
    if operator not in {_NULL, *COMPARISONS, *NEGATED} or (operator == _NULL and (quantifier or if_exists)):
        raise MalformedPolicyError(
            f"{where}: condition operator {written[:80]!r} is unknown here",
            hint="operators are case-sensitive; scenarios/kms/README.md lists those that are modelled",
        )
    if not is_known(key, services):
        raise MalformedPolicyError(f"{where}: condition key {key[:80]!r} is unknown here")
    if has_several_values(key) and not quantifier and operator != _NULL:
        raise MalformedPolicyError(
            f"{where}: {written} on {key}, which has several values: expected ForAllValues or ForAnyValue"
        )
    condition = Condition(operator, quantifier, if_exists, key, _values(values, f"{where}: {written} {key}"))
    _require_sound_values(condition, where)
    return condition


def _values(found: Any, where: str) -> tuple[str, ...]:
    listed = found if type(found) is list else [found]
    if not 1 <= len(listed) <= _VALUES_MAX:
        raise MalformedPolicyError(f"{where}: got {len(listed)} values, expected 1 to {_VALUES_MAX}")
    texts = []
    for value in listed:
        if type(value) not in (str, bool, int):
            raise MalformedPolicyError(f"{where}: got {type(value).__name__}, expected a string")
        texts.append(str(value).lower() if type(value) is bool else str(value))
    if any("${" in text for text in texts):
        raise MalformedPolicyError(f"{where}: policy variables are not modelled here")
    return tuple(texts)


def _require_sound_values(condition: Condition, where: str) -> None:
    if condition.operator == _NULL:
        if len(condition.values) != 1 or condition.values[0].lower() not in ("true", "false"):
            raise MalformedPolicyError(f"{where}: {condition}: expected true or false")
        return
    compare = COMPARISONS[NEGATED.get(condition.operator, condition.operator)]
    for value in condition.values:
        try:
            compare("", value)
        except ValueError as error:
            raise MalformedPolicyError(f"{where}: {condition}: {error}") from error


def _shown(value: str) -> str:
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")
