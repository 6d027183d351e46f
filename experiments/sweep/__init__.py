"""Grids of training runs: a spec becomes a plan, a plan becomes runs, runs become one table.

::

    spec.py      what the YAML file says, checked
    ranges.py    where hyper-parameters are drawn from
    plan.py      every run of the grid, resolved and named by the digest of its configuration
    job.py       one run: train, evaluate the selected checkpoint, keep the numbers; or keep the error
    gradients.py who gets the gradient of a run's contrast and loss, by shot group
    status.py    what is finished, failed and left, read from the run directories alone
    local.py     jobs on processes of this machine
    cluster.py   the same jobs on Ray
    results.py   sweep.json and results.csv
"""
