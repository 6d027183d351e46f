"""Pictures and one report, drawn from results alone."""
