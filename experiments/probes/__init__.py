"""What must be measured on the live model; every judgement about it is made in geometry, from the arrays."""
