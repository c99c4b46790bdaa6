"""OmniRouter: one interface to all models, and the right one for each prompt."""
