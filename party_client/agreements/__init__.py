"""What a party does with an agreement before anything runs: write it, understand it, compare it, sign it.

General layout: `compile` turns TOML into an `Agreement` (with `toml_file` and `table` for its mistakes);
`checking` works out what it would let happen (with `inference` for what could still be concluded), and
`granting` the smallest grants that its queries need; `privacy_budgets` and `noisy_queries` explain noise,
`keys_text` keys that the enclave keeps; `describe` and `comparing` show it whole and beside another one;
`validity` holds it against a clock; `signing` signs it and says who else has; `agreement_file` reads what
others wrote; `release_text` and `releases` are about the enclave code it accepts, `key_services` about keys
of its parties in KMS.

An agreement on [[keys]] may have no [[datasets]] and no [[queries]].

With [[privacy]] every query over that owner's data has `noise`. With `keys = "declared"`, `domains` lists
the possible values of each GROUP BY expression, in order: all combinations are shown, also empty ones, and
no others. With `keys = "selected"` groups are shown whose noisy number of units is large enough; that needs
a delta above "0". `weights` (1 where none is given) divide a run's share among its figures: more weight,
less noise. Such a query needs `max_rows_per_unit`, and a `clamp` on what it adds up. `concordat agreement
preview` says how far off it will be.

As people write it:

    id = "flight_delays"                        # lower-case letters, digits, underscores; so are all ids
    title = "Delays by wind"
    purpose = "How much of a delay does wind explain?"
    valid_from = 2026-01-01T00:00:00Z           # times need a zone
    valid_until = 2027-01-01T00:00:00Z          # exclusive
    logged = "nothing"                          # or "phases": what the enclave may write to its console
    # release_quorum = 2                        # optional: so many parties may accept or end releases later
    [limits]
    memory_mib = 2048
    threads = 2
    max_runs = 10                               # of all queries together, in one enclave life
    tick_s = 1                                  # optional; runs end at whole multiples of it, 0: at once
    [[parties]]                                 # everybody who has to sign
    identity = "keys/airline.pub"               # relative to this file
    [[analysts]]                                # may ask or receive, sign nothing; optional
    identity = "keys/analyst.pub"
    [[datasets]]
    id = "flights"
    owner = "airline"
    privacy_unit = "tailnum"                    # whose distinct values are protected
    threshold = 10                              # fewest of them behind any released row, 2 or more
    single_units = false                        # optional; true: a threshold of 1 is meant
    unique = ["flight_id"]                      # optional
    max_rows = 1_000_000
    max_bytes = 500_000_000
    # All optional; each takes something away, and an empty list means deny.
    analyses = ["aggregation"]                  # or "list", or ["custom"] with only_queries; [] nothing
    # only_queries = ["delay_by_wind"]          # with ["custom"]: ids or digests
    # joined_with = ["weather"]                 # every query must inner-join one of these
    # opt_out = { dataset = "optouts", column = "tailnum" }   # whose rows never enter a query
    forbidden = ["email"]                       # columns that no query may mention
    receivers = ["analyst"]                     # results may go to these and nobody else
    max_rows_per_unit = 100                     # of one unit, in a query, after its joins
    min_rows = 1000                             # the enclave accepts no smaller dataset
    min_units = 100
    # With this it may also be sealed under a key of the owner's in KMS (docs/kms.md): then it can wait for
    # enclaves under this agreement, and its owner need not be there when one is started.
    # kms = { account = "111122223333", region = "eu-central-1", role = "concordat-enclave" }
    #   optional: endpoint = "kms.eu-central-1.amazonaws.com:443", authorities = "their-certificates.pem"
    [datasets.columns]                          # in the order of the data; no `uses`: may not be used
                                                # uses: avg, count, count_distinct, filter, group, join, max,
                                                # min, order, sum; `concordat agreement grants` finds them
    flight_id = { type = "int64" }
    tailnum = { type = "text", uses = ["join"] }
    dep_delay = { type = "int64", nullable = true, uses = ["avg", "sum"], clamp = { low = -60, high = 600 } }
    email = { type = "text", uses = ["join"], normalise = "email/v1" }
    [[queries]]
    id = "delay_by_wind"
    sql = "SELECT ... WHERE year >= $min_year GROUP BY ..."
    run_by = ["analyst"]
    receivers = ["analyst"]
    max_runs = 5
    per_day = 1                                 # optional; also per_week, per_month: any 24 h, 7 or 30 days
    many_to_many = false                        # optional
    # needed where an owner of the data has [[privacy]], and refused elsewhere; weights are optional:
    # noise = { keys = "declared", domains = [[0, 1, 2]], weights = { flights = 2 } }
    [[queries.parameters]]                      # optional; a range, or choices = ["a", "b"]
    name = "min_year"
    low = 1950                                  # or a date: 2026-01-31, or a decimal in quotes: "0.05"
    high = 2013
    # [state]                                   # optional: what an enclave holds may outlive it
    # party = "airline"                         # sealed under a key in this party's KMS
    # kms = { account = "111122223333", region = "eu-central-1", role = "concordat-enclave" }
    # witnesses = ["airline"]                   # parties who say which state is the latest
    # [[keys]]                                  # optional; made by the enclave and kept there (docs/keys.md)
    # id = "person_tokens"
    # kind = "hmac-sha256"                      # or ecdsa-p256, ecdsa-p384, ed25519, rsa-3072, aes-256, ...
    # uses = ["tokenise"]                       # or sign, decrypt, encrypt, hmac: one purpose for each key
    # used_by = ["airline", "analyst"]
    # approved_by = []                          # optional: parties who have to sign every single use
    # max_uses = 100                            # and per_day, per_week, per_month, as of queries
    # max_values = 1_000_000                    # with tokenise: identifiers in all uses together
    # normalise = "email/v1"                    # optional, with tokenise
    # [[privacy]]                               # optional; owners whose data leaves with noise only
    # owner = "airline"
    # epsilon = "2"                             # over all runs of one enclave; text, smaller is stricter
    # delta = "0.000001"                        # far below 1 / number of units; "0" only with laplace noise
    # noise = "gaussian"                        # or "laplace"; the same for all owners of a query
    [[releases]]
    file = "release.toml"                       # or name, pcr0, pcr1, pcr2, root_sha256 (hexadecimal)
    valid_from = 2026-01-01T00:00:00Z           # optional, as is valid_until: else as long as the agreement
    # [[releases]]                              # as published by whoever built it
    # file = "measurements.json"
    # signers = ["keys/builder.pub"]            # whose signatures beside the file count
    # signers_needed = 1                        # optional: how many of them, else all
    # root_sha256 = "641a..."                   # optional, else AWS's root
"""

from party_client.agreements.agreement_file import (
    load_agreed,
    load_agreement,
    load_approval,
    require_digest_untrusted,
)
from party_client.agreements.checking import Check, check
from party_client.agreements.comparing import Change, diff
from party_client.agreements.compile import compile_toml
from party_client.agreements.errors import AgreementError
from party_client.agreements.granting import Granting, granting
from party_client.agreements.signing import approval_by, approval_status, sign
from party_client.agreements.validity import Validity, require_not_expired, require_valid, validity

__all__ = [
    "AgreementError",
    "Change",
    "Check",
    "Granting",
    "Validity",
    "approval_by",
    "approval_status",
    "check",
    "compile_toml",
    "diff",
    "granting",
    "load_agreed",
    "load_agreement",
    "load_approval",
    "require_digest_untrusted",
    "require_not_expired",
    "require_valid",
    "sign",
    "validity",
]
