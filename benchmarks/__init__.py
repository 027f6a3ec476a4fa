"""The budgets, measured: `nox -s bench` writes docs/performance.md, `-- --smoke` runs everything once and writes nothing."""
