"""LIKE and NOT LIKE: whether a text fits a pattern that stands in the agreed query.

The pattern is a constant: out of a column, a row's owner could choose what is asked of other rows. `%` stands
for any characters and `_` for one; there is no escape character, and no folding of case. Bounds keep matching
short. Never an error, whatever the text: `protos/plan/README.md`, "Grammar".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlglot import exp

from protos.plan.arithmetic import Read, Reader
from protos.plan.expressions import Apply, Constant, Expression
from protos.plan.syntax import require_only
from protos.plan.values import BOOL, TEXT

PATTERN_MAX_CHARACTERS: Final = 200
WILDCARDS_MAX: Final = 8
"""Of `%`: with many of them, a text that nearly fits takes long to refuse."""


def _like(reader: Reader, node: exp.Like) -> Expression:
    require_only(node, "this", "expression", "negate", sql=reader.sql)
    subject, pattern = reader.read(node.this), node.expression
    if subject.type != TEXT:
        raise reader.mismatch(node, f"LIKE needs text, got {subject.type}")
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise reader.mismatch(node, "LIKE: expected a pattern that stands in the text, such as 'PROMO%'")
    written = str(pattern.this)
    if len(written) > PATTERN_MAX_CHARACTERS or written.count("%") > WILDCARDS_MAX:
        raise reader.mismatch(
            node,
            f"LIKE: expected a pattern of at most {PATTERN_MAX_CHARACTERS} characters with at most "
            f"{WILDCARDS_MAX} times %",
        )
    if "\\" in written:
        raise reader.mismatch(
            node, "LIKE: a pattern with \\ is not allowed", hint="there is no escape character"
        )
    template = "({0} NOT LIKE {1})" if node.args.get("negate") else "({0} LIKE {1})"
    return Apply(template, (subject, Constant(written, TEXT)), BOOL)


READERS: Final[Mapping[type[exp.Expr], Read]] = {exp.Like: _like}
