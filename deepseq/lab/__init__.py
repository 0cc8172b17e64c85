"""How a question is run and judged: the command, a run's directory, jobs, records, verdicts,
figures and the report.
"""
