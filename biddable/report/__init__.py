"""Reports of a run: an HTML page, PNG charts, a table for the terminal.

``page.write_report`` draws one run, ``compare.write_comparison`` two side by side, and
``terminal.result_table`` prints the comparison every run ends in.
"""
