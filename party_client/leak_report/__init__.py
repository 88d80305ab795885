"""What each query of an agreement could reveal about whom, as facts that people and programs can read.

General layout: `report` puts a `LeakReport` together from what `agreements.checking` found and the compiled
plans; `fan_out` bounds how far one row and one unit reach, `observations` says what shows beside the values,
`run_budget` what several runs show together, `flow` which column ends up where, `grants` what every column
may be used for and is, `noise_preview` how far off figures with noise will be (`noisy_observations` what then
shows beside them). How it looks is decided elsewhere: `cli.leak_report_text` on a screen, `pages` in a
browser and on paper. Nothing here says that something is safe.
"""

from party_client.leak_report.report import LeakReport, QueryReport, leak_report

__all__ = ["LeakReport", "QueryReport", "leak_report"]
