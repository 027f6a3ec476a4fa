"""What authors of integrations test with: the model stand-in, cassettes, the conformance kit, the pytest plugin."""
