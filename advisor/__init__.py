"""Which pattern serves a feature, why, and at what cost: features.toml -> load -> usage -> money -> advice."""
