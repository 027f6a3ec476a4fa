"""What authors of integrations test with: the model stand-in, the conformance kit, the pytest plugin."""
