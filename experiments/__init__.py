"""Everything that needs data, a model or a run directory."""
