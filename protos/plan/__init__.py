"""What a query of an agreement does, worked out from its text and held against each owner's rules.

The enclave compiles a query before it runs, and runs what the plan says, never the text; the party's
`agreement check` compiles the same query with the same code and explains it before anybody signs. Pure:
needs sqlglot and `protos.formats`, no engine and no data. The grammar is in `protos/plan/README.md`.
"""

from protos.plan.compiler import compile_query
from protos.plan.errors import Place, QueryRefusedError
from protos.plan.plan import Output, Plan, Threshold, Usage

__all__ = [
    "Output",
    "Place",
    "Plan",
    "QueryRefusedError",
    "Threshold",
    "Usage",
    "compile_query",
]
