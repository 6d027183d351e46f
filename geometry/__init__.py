"""Pure analysis of learned representations: arrays in, frozen results out.

Nothing here trains, draws, or imports torch: any model that can write an artifact
(see :mod:`geometry.artifact`) can be analysed.
"""
