"""Traffic: a spec's words or a log's rows as rates over time, and what a pool of workers bills for them.

`profile` is cheap and pure; `batch` is work with a deadline; `log` reads files with DuckDB and is imported only where
there is one.
"""
