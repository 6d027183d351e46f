"""From runs to the tables of a paper: read, select by validation, average over seeds, test, write.

::

    records.py     every run's numbers, and how many were planned, failed or are missing
    selection.py   which hyper-parameter draw counts, by balanced source validation
    aggregate.py   means, standard errors, paired tests against a baseline and against the best
    samples.py     the same tests on the target samples themselves, from kept logits
    gradients.py   which share of the gradient rare classes get
    ranks.py       average ranks over data sets and held-out domains
    origin.py      seeds, commits and hardware of the runs behind a table
    notes.py       what a reader must know to read the numbers
    render.py      Markdown and LaTeX
"""
