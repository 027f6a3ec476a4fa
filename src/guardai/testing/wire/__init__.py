"""The OpenAI protocol as a stand-in model speaks it: what may be asked, what is answered, what can go wrong."""
