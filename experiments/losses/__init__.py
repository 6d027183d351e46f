"""Training losses as pure functions of tensors; each stands once and every caller shares it."""
