"""Reports as one page each, for a browser and for paper: text, tables and pictures in one file.

General layout: `markup` is the only place where HTML is written, and escapes whatever it is given;
`document` puts a page around content, with the style of `style` and a policy under which a browser loads
nothing and runs nothing; `svg` has the shapes of pictures. `flow_picture`, `suppression_picture`,
`run_budget_picture` and `noise_picture` draw, `leak_report_page` writes the leak report, with
`query_section` and `noise_section`. Text in an agreement comes from other organisations.
"""
