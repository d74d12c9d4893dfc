"""The cascade: stages give evidence, a policy decides; see README.md."""
