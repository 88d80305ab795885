"""An agreement as people would write it, in a folder with everybody's public identity; for several tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from party_client.identity import Identity

AIRLINE = Identity.generate("airline", "Wright Airlines")
WEATHER = Identity.generate("weather_service", "Weather Service")
ANALYST = Identity.generate("analyst", "An analyst")
EVERYBODY = (AIRLINE, WEATHER, ANALYST)
ROOT_SHA256 = "ab" * 32

TEXT = (
    """\
id = "flight_delays"
title = "Delays by wind"
purpose = "How much of a delay does wind explain?"
valid_from = 2026-01-01T00:00:00Z
valid_until = 2027-01-01T00:00:00Z

[limits]
memory_mib = 2048
threads = 2
max_runs = 10

[[parties]]
identity = "keys/airline.pub"
[[parties]]
identity = "keys/weather_service.pub"
[[analysts]]
identity = "keys/analyst.pub"

[[datasets]]
id = "flights"
owner = "airline"
privacy_unit = "tailnum"
threshold = 10
max_rows = 1_000_000
max_bytes = 500_000_000
[datasets.columns]
tailnum = { type = "text", uses = ["count_distinct"] }
hour = { type = "timestamp", uses = ["join"] }
year = { type = "int64", uses = ["filter"] }
delay = { type = "int64", nullable = true, uses = ["avg"] }
crew = { type = "text" }

[[datasets]]
id = "weather"
owner = "weather_service"
privacy_unit = "hour"
threshold = 24
unique = ["hour"]
max_rows = 100_000
max_bytes = 50_000_000
[datasets.columns]
hour = { type = "timestamp", uses = ["join"] }
wind = { type = "int64", uses = ["group"] }

[[queries]]
id = "delay_by_wind"
sql = \"\"\"
SELECT w.wind AS wind, COUNT(*) AS flights, AVG(f.delay) AS mean_delay
FROM flights AS f JOIN weather AS w ON w.hour = f.hour
WHERE f.year >= $min_year
GROUP BY w.wind
\"\"\"
run_by = ["analyst"]
receivers = ["analyst"]
max_runs = 5
[[queries.parameters]]
name = "min_year"
low = 1950
high = 2013

[[releases]]
name = "test"
pcr0 = "PCR0"
pcr1 = "PCR1"
pcr2 = "PCR2"
root_sha256 = "ROOT"
""".replace("PCR0", "10" * 48)
    .replace("PCR1", "11" * 48)
    .replace("PCR2", "12" * 48)
    .replace("ROOT", ROOT_SHA256)
)

NOISY: dict[str, str] = {
    "threshold = 10\n": "threshold = 10\nmax_rows_per_unit = 20\n",
    'uses = ["avg"] }': 'uses = ["avg"], clamp = { low = -60, high = 600 } }',
    "max_runs = 5\n": 'max_runs = 5\nnoise = { keys = "declared", domains = [[2, 0, 1]] }\n',
    "[[releases]]\n": """\
[[privacy]]
owner = "airline"
epsilon = "2"
delta = "0.000001"
noise = "gaussian"
[[releases]]
""",
}
"""Changes to `TEXT` with which the airline lets no exact result of its data leave."""
DECLARED = 'noise = { keys = "declared", domains = [[2, 0, 1]] }'
SELECTED = 'noise = { keys = "selected" }'


def noisy_with(**changes: str) -> dict[str, str]:
    """`NOISY` with another `noise` of the query, or other values of the airline's budget."""
    made = dict(NOISY)
    for key, value in changes.items():
        if key == "query_noise":
            made["max_runs = 5\n"] = f"max_runs = 5\n{value}\n"
        else:
            lines = made["[[releases]]\n"].splitlines()
            lines = [f'{key} = "{value}"' if line.startswith(f"{key} =") else line for line in lines]
            made["[[releases]]\n"] = "\n".join(lines) + "\n"
    return made


def write(folder: Path, changes: Mapping[str, str] | None = None, *, name: str = "flights.toml") -> Path:
    """Writes `TEXT` with `changes` (each must apply) and the public identities; the TOML's path."""
    text = TEXT
    for old, new in (changes or {}).items():
        assert old in text, f"{old!r} does not stand in the text"
        text = text.replace(old, new)
    keys = folder / "keys"
    keys.mkdir(exist_ok=True)
    for person in EVERYBODY:
        if not (keys / f"{person.id}.pub").exists():
            person.public.save(keys / f"{person.id}.pub")
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path
