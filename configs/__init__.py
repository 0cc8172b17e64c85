"""The lab records: one file per study, ``get_config(tier)``."""
